/** A mistake of the person at the keyboard: says what is wrong, the rule, the value, and the next command. Exit code 2. */
export class BadInput extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BadInput';
  }
}

/** Exit codes of every command. */
export const EXIT = { ok: 0, incomplete: 1, badInput: 2, waited: 3 } as const;
