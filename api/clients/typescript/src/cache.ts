/**
 * Answers kept by their ETag, so that an unchanged answer is not sent again.
 *
 * Belongs here: what a cache is, and one in memory. Does not: one on disk (node.ts), or when to ask (index.ts).
 */

/** An answer's body as it came out of the transport, and the headers that describe it, in lower case. */
export interface KeptAnswer {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** `name` is the address of the question and the form that was requested; a damaged answer is none. */
export interface AnswerCache {
  get(name: string): Promise<KeptAnswer | undefined>;
  put(name: string, answer: KeptAnswer): Promise<void>;
}

const DEFAULT_BYTES = 64 * 1024 * 1024;

/** Kept as long as the program runs; the least recently used leave first, when all are larger than `mostBytes`. */
export class MemoryCache implements AnswerCache {
  readonly #mostBytes: number;
  readonly #answers = new Map<string, KeptAnswer>();
  #bytes = 0;

  constructor(mostBytes = DEFAULT_BYTES) {
    this.#mostBytes = mostBytes;
  }

  async get(name: string): Promise<KeptAnswer | undefined> {
    const kept = this.#answers.get(name);
    if (kept !== undefined) {
      this.#answers.delete(name);
      this.#answers.set(name, kept);
    }
    return kept;
  }

  async put(name: string, answer: KeptAnswer): Promise<void> {
    this.#forget(name);
    this.#answers.set(name, answer);
    this.#bytes += answer.body.byteLength;
    for (const oldest of this.#answers.keys()) {
      if (this.#bytes <= this.#mostBytes) return;
      this.#forget(oldest);
    }
  }

  #forget(name: string): void {
    this.#bytes -= this.#answers.get(name)?.body.byteLength ?? 0;
    this.#answers.delete(name);
  }
}
