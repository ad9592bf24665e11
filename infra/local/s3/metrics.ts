/** What was asked of the server since its start. */
export interface S3Metrics {
  /** Requests by operation name: GetObject, UploadPart … `NotImplemented` for all that is no operation here. */
  readonly requests: Readonly<Record<string, number>>;
  /** Body bytes that came in, without their transfer encoding, and that went out. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export class Metrics {
  readonly #requests: Record<string, number> = {};
  #bytesIn = 0;
  #bytesOut = 0;

  requested(operation: string): void {
    this.#requests[operation] = (this.#requests[operation] ?? 0) + 1;
  }

  received(bytes: number): void {
    this.#bytesIn += bytes;
  }

  sent(bytes: number): void {
    this.#bytesOut += bytes;
  }

  snapshot(): S3Metrics {
    return { requests: { ...this.#requests }, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut };
  }
}
