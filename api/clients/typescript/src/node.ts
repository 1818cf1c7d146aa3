/**
 * What needs Node's file system: answers kept on disk from one run of a program to the next.
 *
 * Belongs here: files, their bound, and damaged ones, which are forgotten. Does not: when to ask (index.ts). The files are
 * those of the Python client, in the same folder.
 */

import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

import type { AnswerCache, KeptAnswer } from "./cache.js";

const DEFAULT_BYTES = 512 * 1024 * 1024;
const ENDING = ".answer";

/** `CITY_DATA_CLIENT_CACHE`, else the user's cache folder. */
export function defaultFolder(): string {
  const { CITY_DATA_CLIENT_CACHE: configured, XDG_CACHE_HOME: caches } = process.env;
  return configured || join(caches || join(homedir(), ".cache"), "city_data_client");
}

/** One file an answer; the least recently used leave first, when all are larger than `mostBytes`. */
export class DiskCache implements AnswerCache {
  readonly #folder: string;
  readonly #mostBytes: number;

  constructor(folder: string = defaultFolder(), mostBytes = DEFAULT_BYTES) {
    this.#folder = folder;
    this.#mostBytes = mostBytes;
  }

  async get(name: string): Promise<KeptAnswer | undefined> {
    const file = this.#file(name);
    let raw: Buffer<ArrayBuffer>;
    try {
      raw = await readFile(file);
      await utimes(file, new Date(), new Date());
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
    const kept = parsed(raw, name);
    if (kept === undefined) await rm(file, { force: true });
    return kept;
  }

  /** Written beside and renamed: two programs may keep the same answer at once. */
  async put(name: string, { headers, body }: KeptAnswer): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const file = this.#file(name);
    const part = `${file}.${randomUUID()}.part`;
    await writeFile(part, Buffer.concat([Buffer.from(`${JSON.stringify({ name, sha256: sha256(body), headers })}\n`), body]));
    await rename(part, file);
    await this.#shrink();
  }

  #file(name: string): string {
    return join(this.#folder, `${sha256(name)}${ENDING}`);
  }

  async #shrink(): Promise<void> {
    const files: { path: string; size: number; mtimeMs: number }[] = [];
    for (const entry of await readdir(this.#folder)) {
      if (!entry.endsWith(ENDING)) continue;
      const path = join(this.#folder, entry);
      try {
        const { size, mtimeMs } = await stat(path);
        files.push({ path, size, mtimeMs });
      } catch (error) {
        if (!isAbsent(error)) throw error; // another program has just forgotten it
      }
    }
    let used = files.reduce((sum, { size }) => sum + size, 0);
    for (const { path, size } of files.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
      if (used <= this.#mostBytes) return;
      await rm(path, { force: true });
      used -= size;
    }
  }
}

/** The answer of a file; undefined where it is damaged, or another question's. */
function parsed(raw: Buffer<ArrayBuffer>, name: string): KeptAnswer | undefined {
  const end = raw.indexOf("\n");
  try {
    const entry = JSON.parse(raw.subarray(0, end).toString()) as { name: string; sha256: string; headers: Record<string, string> };
    const body = new Uint8Array(raw.subarray(end + 1));
    const isWhole = entry.name === name && entry.sha256 === sha256(body) && Boolean(entry.headers["etag"]);
    return isWhole ? { headers: entry.headers, body } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
