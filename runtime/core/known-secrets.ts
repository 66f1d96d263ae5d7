import { SECRET_LENGTH_MIN, type SecretForm, secretForms } from './secret-forms.ts';

/** Where a secret stands in a text: from `start` to before `end`. */
export interface SecretRange {
  readonly start: number;
  readonly end: number;
}

/** Values that were used lately and are searched for; a user has up to four (token, and proxy with user and password). */
const RECENT_LIMIT = 4_000;

/** Values of this process itself: keys and passwords of its services. */
const FIXED_LIMIT = 1_000;

/** The filter has at least this many cells per value, and this many in all at most: a form in twenty cells. */
const CELLS_PER_VALUE = 256;
const CELLS_MIN = 1_024;
const CELLS_MAX = 1_048_576;

/** A cell that is full is never emptied again: it lets through what the index then refuses. */
const CELL_FULL = 255;

/** Multiplier of the rolling hash, and its power that takes the oldest of 8 characters out again. */
const HASH_BASE = 0x01_00_01_93;
const HASH_OLDEST = powerOf(HASH_BASE, SECRET_LENGTH_MIN);

const BASE64_CHARACTER = /[A-Za-z0-9+/_-]/;

/** What credentials are written with; between two of them is something else. */
const CREDENTIAL_RUN = /[\w.~+/=%|-]*/y;

interface Indexed {
  uses: number;
  kind: SecretForm['kind'];
}

/**
 * The secrets that a process knows, in every form in which they may turn up. A search goes over the text once, however many they
 * are: a filter over its next 8 characters, then an index. What was used last is kept, the oldest goes. Article ch. 7 knows
 * patterns only.
 */
export class KnownSecrets {
  readonly #recentLimit: number;
  readonly #recent = new Map<string, readonly SecretForm[]>();
  readonly #fixed = new Map<string, readonly SecretForm[]>();
  readonly #forms = new Map<string, Indexed>();
  /** First 8 characters of a form -> lengths of the forms that begin so, with how many they are. */
  readonly #lengths = new Map<string, Map<number, number>>();
  readonly #cells: Uint8Array;

  /** `recentLimit`: values kept of those that come and go, 1 or more. Default 4,000. */
  constructor(recentLimit: number = RECENT_LIMIT) {
    this.#recentLimit = recentLimit;
    const wanted = 2 ** Math.ceil(Math.log2(recentLimit * CELLS_PER_VALUE));
    this.#cells = new Uint8Array(Math.min(CELLS_MAX, Math.max(CELLS_MIN, wanted)));
  }

  /** A value that comes and goes, such as a user's token. Shorter than 8 characters: not searched for. */
  know(value: string): void {
    if (value.length < SECRET_LENGTH_MIN || this.#fixed.has(value)) return;
    const known = this.#recent.get(value);
    this.#recent.delete(value);
    this.#recent.set(value, known ?? this.#add(value));
    if (this.#recent.size <= this.#recentLimit) return;
    for (const [oldest, forms] of this.#recent) {
      this.#recent.delete(oldest);
      for (const form of forms) this.#remove(form);
      return;
    }
  }

  /** A value of the process itself, which stays known; after 1,000 of them they come and go as well. */
  keep(value: string): void {
    if (value.length < SECRET_LENGTH_MIN || this.#fixed.has(value)) return;
    if (this.#fixed.size >= FIXED_LIMIT) this.know(value);
    else this.#fixed.set(value, this.#add(value));
  }

  /** Values that are known. */
  get size(): number {
    return this.#recent.size + this.#fixed.size;
  }

  /** Where known secrets stand, in order, without overlaps. */
  find(text: string): readonly SecretRange[] {
    const ranges: SecretRange[] = [];
    if (this.#forms.size === 0) return ranges;
    let hash = 0;
    let from = 0;
    for (let at = 0; at < text.length; at += 1) {
      hash = (Math.imul(hash, HASH_BASE) + text.charCodeAt(at)) | 0;
      const start = at - SECRET_LENGTH_MIN + 1;
      if (start > 0) hash = (hash - Math.imul(text.charCodeAt(start - 1), HASH_OLDEST)) | 0;
      if (start < from || this.#cells[this.#cellOf(hash)] === 0) continue;
      const range = this.#match(text, start);
      if (range === undefined) continue;
      ranges.push({ start: Math.max(range.start, from), end: range.end });
      from = range.end;
    }
    return ranges;
  }

  /** The longest form that begins here, and in base64 the characters that hold some of its bits. */
  #match(text: string, start: number): SecretRange | undefined {
    const lengths = this.#lengths.get(text.slice(start, start + SECRET_LENGTH_MIN));
    let best: SecretRange | undefined;
    for (const length of lengths?.keys() ?? []) {
      if (best !== undefined && length <= best.end - start) continue;
      const form = this.#forms.get(text.slice(start, start + length));
      if (form === undefined) continue;
      best = widened(text, { start, end: start + length }, form.kind);
    }
    return best;
  }

  #add(value: string): readonly SecretForm[] {
    const forms = secretForms(value);
    for (const { text, kind } of forms) {
      const known = this.#forms.get(text);
      if (known !== undefined) {
        known.uses += 1;
        // Whoever is a beginning for somebody hides what follows.
        if (kind === 'head') known.kind = kind;
        continue;
      }
      this.#forms.set(text, { uses: 1, kind });
      const head = text.slice(0, SECRET_LENGTH_MIN);
      const lengths = this.#lengths.get(head) ?? new Map<number, number>();
      this.#lengths.set(head, lengths.set(text.length, (lengths.get(text.length) ?? 0) + 1));
      this.#count(head, 1);
    }
    return forms;
  }

  #remove({ text }: SecretForm): void {
    const known = this.#forms.get(text);
    if (known === undefined) return;
    known.uses -= 1;
    if (known.uses > 0) return;
    this.#forms.delete(text);
    const head = text.slice(0, SECRET_LENGTH_MIN);
    const lengths = this.#lengths.get(head);
    const left = (lengths?.get(text.length) ?? 1) - 1;
    if (left > 0) lengths?.set(text.length, left);
    else lengths?.delete(text.length);
    if (lengths?.size === 0) this.#lengths.delete(head);
    this.#count(head, -1);
  }

  #count(head: string, change: 1 | -1): void {
    let hash = 0;
    for (let at = 0; at < SECRET_LENGTH_MIN; at += 1) hash = (Math.imul(hash, HASH_BASE) + head.charCodeAt(at)) | 0;
    const cell = this.#cellOf(hash);
    const count = this.#cells[cell] ?? 0;
    if (count < CELL_FULL) this.#cells[cell] = count + change;
  }

  #cellOf(hash: number): number {
    return (hash ^ (hash >>> 15)) & (this.#cells.length - 1);
  }
}

function widened(text: string, { start, end }: SecretRange, kind: SecretForm['kind']): SecretRange {
  if (kind === 'whole') return { start, end };
  if (kind === 'head') {
    CREDENTIAL_RUN.lastIndex = end;
    return { start, end: end + (CREDENTIAL_RUN.exec(text)?.[0].length ?? 0) };
  }
  const isBefore = start > 0 && BASE64_CHARACTER.test(text.charAt(start - 1));
  const isBehind = BASE64_CHARACTER.test(text.charAt(end));
  return { start: isBefore ? start - 1 : start, end: isBehind ? end + 1 : end };
}

function powerOf(base: number, exponent: number): number {
  let power = 1;
  for (let at = 0; at < exponent; at += 1) power = Math.imul(power, base);
  return power;
}
