interface Watch {
  /** Whether it happened since the watch began. */
  readonly happened: boolean;
  end(): void;
}

/** Remembers, for as long as someone watches a key, whether something happened to it. */
export class WatchedKeys {
  readonly #watches = new Map<string, Set<{ happened: boolean }>>();

  watch(key: string): Watch {
    const watches = this.#watches.get(key) ?? new Set();
    this.#watches.set(key, watches);
    const end = () => {
      watches.delete(watch);
      if (watches.size === 0 && this.#watches.get(key) === watches) this.#watches.delete(key);
    };
    const watch = { happened: false, end };
    watches.add(watch);
    return watch;
  }

  happened(key: string): void {
    for (const watch of this.#watches.get(key) ?? []) watch.happened = true;
  }
}
