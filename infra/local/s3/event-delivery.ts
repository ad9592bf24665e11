import {
  eventBridgeOf,
  nextSequencer,
  notificationOf,
  type S3EventBridgeEvent,
  type S3NotificationEvent,
} from './events.ts';
import type { Created } from './operations/operation.ts';

/** S3 promises to deliver at least once, in no order. By default each event comes once, in order. */
export interface EventDelivery {
  /** Each event comes twice, equal in all it says. */
  readonly duplicated?: boolean;
  /** Events that follow each other within 20 ms come in reverse. */
  readonly reordered?: boolean;
}

/** Who is told of the objects created, and in which shape. They must not throw. */
export interface EventTargets {
  readonly notified?: ((event: S3NotificationEvent) => void) | undefined;
  readonly bridged?: ((event: S3EventBridgeEvent) => void) | undefined;
}

const GATHERED_MS = 20;

/** Tells of each object created, soon after it is on disk, never within the request itself. */
export class EventSender {
  readonly #region: string;
  readonly #targets: EventTargets;
  readonly #delivery: EventDelivery;
  #waiting: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(region: string, targets: EventTargets, delivery: EventDelivery) {
    this.#region = region;
    this.#targets = targets;
    this.#delivery = delivery;
  }

  send(created: Created): void {
    const { notified, bridged } = this.#targets;
    const sequencer = nextSequencer();
    if (notified !== undefined) {
      const event = notificationOf(this.#region, created, sequencer);
      this.#deliver(() => notified(event));
    }
    if (bridged !== undefined) {
      const event = eventBridgeOf(this.#region, created, sequencer);
      this.#deliver(() => bridged(event));
    }
  }

  /** Delivers what is still held back. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = this.#waiting.reverse();
    this.#waiting = [];
    for (const deliver of waiting) deliver();
  }

  #deliver(deliver: () => void): void {
    const { duplicated = false, reordered = false } = this.#delivery;
    for (let times = duplicated ? 2 : 1; times > 0; times -= 1) {
      if (reordered) this.#waiting.push(deliver);
      else setImmediate(deliver);
    }
    if (reordered) this.#timer ??= setTimeout(() => this.flush(), GATHERED_MS);
  }
}
