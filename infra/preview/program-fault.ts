import type { ProgramEnd } from './program.ts';
import type { Diagnostic } from './registered-resource.ts';

/**
 * Why a program gave no result. `refused`: it does not accept its input, for example its configuration. `crashed`:
 * a mistake in the program. `limit`: it did not end in time. `stopped`: somebody ended it.
 */
export type ProgramFaultKind = 'refused' | 'crashed' | 'limit' | 'stopped';

/** How the SDK begins when it reports an exception that is no message to a person, and how stacks look. */
const CRASH = /^Running program '.*' failed with an unhandled exception|\n {4}at /;

/** A program that gave no result; the message is complete and holds a stack only when it crashed. */
export class ProgramFault extends Error {
  readonly kind: ProgramFaultKind;

  constructor(kind: ProgramFaultKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProgramFault';
    this.kind = kind;
  }

  /** Of a program that ended by itself, but not well. Every error of its log is in the message, once. */
  static ofEnd({ code, signal, text }: ProgramEnd, diagnostics: readonly Diagnostic[]): ProgramFault {
    const errors = new Set(diagnostics.filter(({ severity }) => severity === 'error').map(({ message }) => message));
    if (errors.size > 0) {
      const isCrash = [...errors].some((message) => CRASH.test(message));
      return new ProgramFault(isCrash ? 'crashed' : 'refused', [...errors].join('\n'));
    }
    const how = code === null ? `was ended by ${signal}` : `ended with code ${code}`;
    return new ProgramFault('crashed', `The program ${how} and left no message.${text && `\n${text.trimEnd()}`}`);
  }

  /** Of a program that was ended because it took too long. */
  static ofLimit(limitMs: number): ProgramFault {
    return new ProgramFault(
      'limit',
      `The program did not end within ${limitMs / 1000} s and was ended. It waits for something that never comes: a timer, an open connection or a promise without an end.`,
    );
  }

  /** Of a program that was ended on request. */
  static ofStop(): ProgramFault {
    return new ProgramFault('stopped', 'Stopped.');
  }
}
