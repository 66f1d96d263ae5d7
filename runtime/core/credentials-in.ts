import { isSecretKey } from './secret-patterns.ts';

/** A sealing key in a ring: 32 bytes in base64 behind an id. */
const RING_KEY = /^[\w.-]{1,64}:([A-Za-z0-9+/]{43}=)$/;

/** Member of a connection string, or of the query of a signed address. */
const MEMBER = /^\s*([A-Za-z][\w-]*)=([^]+)$/;

/**
 * The secrets in a text that a process was given: passwords in the address of a server, keys and signatures in a connection string
 * or a signed address, the keys of a ring; else the whole text. What of it is no secret, such as a host, stays readable everywhere.
 */
export function credentialsIn(text: string): readonly string[] {
  const url = text.includes('://') && !text.includes(';') ? URL.parse(text) : null;
  if (url !== null) return [...userinfoOf(url, text), ...membersOf(url.search.slice(1).split('&'))];
  const members = text.split(';');
  if (members.some((member) => MEMBER.test(member)) && /^\s*\w+=/.test(text)) return membersOf(members);
  const keys = text.split(',').map((entry) => RING_KEY.exec(entry.trim())?.[1]);
  if (keys.every((key) => key !== undefined)) return keys;
  return [text];
}

/** As written and as meant, with the pair that a proxy is sent in base64. A user alone is a secret of proxies only. */
export function proxyCredentialsIn(text: string): readonly string[] {
  const url = URL.parse(text);
  if (url === null) return [text];
  return [...userinfoOf(url, text), url.username, decoded(url.username)].filter((value) => value !== '');
}

function userinfoOf(url: URL, text: string): readonly string[] {
  const { username, password } = url;
  if (username === '' && password === '') return [];
  const [user, pass] = [decoded(username), decoded(password)];
  // The parser percent-encodes what it was given raw.
  const asWritten = /:\/\/([^/?#]*)@/.exec(text)?.[1] ?? '';
  const passAsWritten = asWritten.slice(asWritten.indexOf(':') + 1);
  return [...new Set([password, pass, passAsWritten, `${user}:${pass}`, asWritten])].filter((value) => value !== '');
}

function membersOf(members: readonly string[]): readonly string[] {
  return members.flatMap((member) => {
    const [, name = '', value = ''] = MEMBER.exec(member) ?? [];
    if (/^sharedaccesssignature$/i.test(name)) return [value, ...membersOf(value.replace(/^\S+ /, '').split('&'))];
    return isSecretKey(name) || /^(?:sig|sharedaccesskey|accountkey|code)$/i.test(name) ? [value, decoded(value)] : [];
  });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
