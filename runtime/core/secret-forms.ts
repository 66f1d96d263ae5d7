/**
 * A text that stands for a secret. `whole` is all of it · `base64` too, but a character at its edge holds bits of two neighbours ·
 * `head` is its beginning: what follows belongs to it for as long as it looks like a credential.
 */
export interface SecretForm {
  readonly text: string;
  readonly kind: 'whole' | 'base64' | 'head';
}

/** A shorter value is a word of the text: it is not searched for, but masked where a pattern names it. In characters. */
export const SECRET_LENGTH_MIN = 8;

/** Of a longer value only so much is searched for; no server takes a longer header. In characters. */
export const SECRET_LENGTH_MAX = 16_384;

/** A long form is also known by its first characters, because who quotes it may cut it short. */
const HEAD_LENGTH = 12;
const HEAD_OF_LENGTH_MIN = 16;

const HTML_NAMES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/**
 * The texts in which a secret may turn up: as it is, percent-encoded (once, twice, as a form), escaped for JSON (once, twice, with
 * `\/`), for HTML, in hexadecimal, and in base64 and base64url wherever it stands in what was encoded. None is shorter than 8
 * characters; a value that is has no forms.
 */
export function secretForms(value: string): readonly SecretForm[] {
  const whole = value.slice(0, SECRET_LENGTH_MAX).toWellFormed();
  if (whole.length < SECRET_LENGTH_MIN) return [];
  const bytes = new TextEncoder().encode(whole);
  const plain = [whole, ...percentForms(whole), ...escapedForms(whole), ...hexForms(bytes)];
  const encoded = base64Forms(bytes);
  const heads = [...encoded, ...plain].filter(({ length }) => length >= HEAD_OF_LENGTH_MIN);
  // Later ones win: a text that is a whole form and the head of another ends where the form does.
  const kinds = new Map<string, SecretForm['kind']>();
  for (const text of heads) kinds.set(text.slice(0, HEAD_LENGTH), 'head');
  for (const text of encoded) kinds.set(text, 'base64');
  for (const text of plain) kinds.set(text, 'whole');
  return [...kinds].filter(([text]) => text.length >= SECRET_LENGTH_MIN).map(([text, kind]) => ({ text, kind }));
}

function percentForms(value: string): readonly string[] {
  const once = encodeURIComponent(value);
  const lower = once.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
  const form = new URLSearchParams([['', value]]).toString().slice(1);
  return [once, lower, form, encodeURI(value), encodeURIComponent(once)];
}

function escapedForms(value: string): readonly string[] {
  const json = inJson(value);
  const html = value.replaceAll(/[&<>"]/g, (character) => HTML_NAMES[character] ?? character);
  return [json, json.replaceAll('/', '\\/'), inJson(json), html, html.replaceAll("'", '&#39;')];
}

function inJson(value: string): string {
  return JSON.stringify(value).slice(1, -1);
}

function hexForms(bytes: Uint8Array): readonly string[] {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex, hex.toUpperCase()];
}

/** Behind 0, 1 or 2 other bytes, without the characters that depend on what stands beside it. */
function base64Forms(bytes: Uint8Array): readonly string[] {
  return [0, 1, 2].flatMap((before) => {
    const padded = new Uint8Array(before + bytes.length);
    padded.set(bytes, before);
    const own = base64(padded).slice(Math.ceil((before * 8) / 6), Math.floor((padded.length * 8) / 6));
    return [own, own.replaceAll('+', '-').replaceAll('/', '_'), encodeURIComponent(own), own.replaceAll('/', '\\/')];
  });
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
