import type { AmqpValue } from './amqp-bytes.ts';
import type { Facts } from './message-codec.ts';

/** Characters of a filter, as on Azure. */
const EXPRESSION_LIMIT = 1_024;

/** Nesting of parentheses that is still read. */
const DEPTH_LIMIT = 32;

type Value = string | number | boolean | null;
type Expression = (facts: Facts) => Value;

const TOKEN =
  /\s*(?:(-?\d+(?:\.\d+)?)|'((?:[^']|'')*)'|([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)?)|\[([^\]]+)\]|(<>|!=|<=|>=|[=<>(),]))/y;

interface Token {
  readonly kind: 'number' | 'text' | 'word' | 'quoted' | 'sign';
  readonly text: string;
}

/**
 * Compiles the part of Azure's SQL filters that is in common use: AND, OR, NOT, parentheses, = <> != < <= > >=,
 * IN, LIKE with % and _, IS [NOT] NULL, EXISTS(name), texts, numbers, TRUE, FALSE, and properties, which are `name`,
 * `user.name` or `sys.Label` and the like. NULL compares as unknown, so a rule over an absent property does not match.
 * @throws Error with the place of what it does not understand
 */
export function compileSql(expression: string): (facts: Facts) => boolean {
  if (expression.length > EXPRESSION_LIMIT) throw new Error(`a filter has at most ${EXPRESSION_LIMIT} characters`);
  const parser = new Parser(tokensOf(expression));
  const root = parser.parse();
  return (facts) => root(facts) === true;
}

function tokensOf(expression: string): readonly Token[] {
  const tokens: Token[] = [];
  const text = expression.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new Error(`the filter is not understood at character ${at + 1}`);
    tokens.push(tokenOf(match));
  }
  return tokens;
}

function tokenOf([, number, text, word, quoted, sign = '']: RegExpExecArray): Token {
  if (number !== undefined) return { kind: 'number', text: number };
  if (text !== undefined) return { kind: 'text', text: text.replaceAll("''", "'") };
  if (word !== undefined) return { kind: 'word', text: word };
  return quoted === undefined ? { kind: 'sign', text: sign } : { kind: 'quoted', text: quoted };
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): Expression {
    const root = this.#or();
    const rest = this.#tokens[this.#at];
    if (rest !== undefined) throw new Error(`the filter is not understood at '${rest.text}'`);
    return root;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#take('OR')) {
      const [one, other] = [left, this.#and()];
      left = (facts) => either(one(facts), other(facts));
    }
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#take('AND')) {
      const [one, other] = [left, this.#not()];
      left = (facts) => negate(either(negate(one(facts)), negate(other(facts))));
    }
    return left;
  }

  #not(): Expression {
    if (!this.#take('NOT')) return this.#comparison();
    const inner = this.#not();
    return (facts) => negate(inner(facts));
  }

  #comparison(): Expression {
    const left = this.#operand();
    if (this.#take('IS')) {
      const isNegated = this.#take('NOT');
      this.#expect('NULL');
      return (facts) => (left(facts) === null) !== isNegated;
    }
    const isNegated = this.#take('NOT');
    const inner = this.#membership(left);
    if (inner !== undefined) return isNegated ? (facts) => negate(inner(facts)) : inner;
    if (isNegated) throw new Error('the filter needs IN or LIKE after NOT');
    const sign = this.#sign();
    if (sign === undefined) return left;
    const right = this.#operand();
    return (facts) => compare(sign, left(facts), right(facts));
  }

  #membership(left: Expression): Expression | undefined {
    if (this.#take('LIKE')) {
      const pattern = this.#operand();
      return (facts) => isLike(left(facts), pattern(facts));
    }
    if (!this.#take('IN')) return undefined;
    this.#expect('(');
    const items = [this.#operand()];
    while (this.#take(',')) items.push(this.#operand());
    this.#expect(')');
    return (facts) => items.map((item) => compare('=', left(facts), item(facts))).reduce(either);
  }

  #operand(): Expression {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new Error('the filter ends early');
    this.#at += 1;
    if (token.kind === 'number') return constant(Number(token.text));
    if (token.kind === 'text') return constant(token.text);
    if (token.kind === 'quoted') return property(token.text);
    if (token.kind === 'word') return this.#word(token.text);
    if (token.text === '(') return this.#group();
    throw new Error(`the filter is not understood at '${token.text}'`);
  }

  #group(): Expression {
    this.#depth += 1;
    if (this.#depth > DEPTH_LIMIT) throw new Error('the filter is nested too deep');
    const inner = this.#or();
    this.#expect(')');
    this.#depth -= 1;
    return inner;
  }

  #word(text: string): Expression {
    const upper = text.toUpperCase();
    if (upper === 'TRUE' || upper === 'FALSE') return constant(upper === 'TRUE');
    if (upper === 'NULL') return constant(null);
    if (upper !== 'EXISTS') return property(text);
    this.#expect('(');
    const inner = this.#operand();
    this.#expect(')');
    return (facts) => inner(facts) !== null;
  }

  #sign(): string | undefined {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'sign' || !/^[=<>!]/.test(token.text)) return undefined;
    this.#at += 1;
    return token.text;
  }

  #take(text: string): boolean {
    const token = this.#tokens[this.#at];
    if (token === undefined || (token.kind !== 'word' && token.kind !== 'sign')) return false;
    if (token.text.toUpperCase() !== text) return false;
    this.#at += 1;
    return true;
  }

  #expect(text: string): void {
    if (!this.#take(text)) throw new Error(`the filter needs '${text}' as part ${this.#at + 1}`);
  }
}

function constant(value: Value): Expression {
  return () => value;
}

/** Azure's names of system properties that differ from those on the wire. */
const SYSTEM_NAMES: Readonly<Record<string, string>> = {
  messageid: 'message-id',
  correlationid: 'correlation-id',
  contenttype: 'content-type',
  replyto: 'reply-to',
  sessionid: 'session-id',
  replytosessionid: 'reply-to-session-id',
  subject: 'label',
};

function property(path: string): Expression {
  const [scope = '', name = ''] = path.includes('.') ? path.split('.', 2) : ['user', path];
  const wanted = name.toLowerCase();
  if (scope.toLowerCase() === 'sys') return (facts) => valueOf(facts.fields.get(SYSTEM_NAMES[wanted] ?? wanted));
  return (facts) => {
    for (const [key, value] of facts.properties) if (key.toLowerCase() === wanted) return valueOf(value);
    return null;
  };
}

function valueOf(value: AmqpValue | undefined): Value {
  if (value instanceof Date) return value.getTime();
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
}

/** Three-valued: unknown (null) unless one side decides. */
function either(one: Value, other: Value): Value {
  if (one === true || other === true) return true;
  return one === null || other === null ? null : false;
}

function negate(value: Value): Value {
  return typeof value === 'boolean' ? !value : null;
}

function compare(sign: string, left: Value, right: Value): Value {
  if (left === null || right === null) return null;
  if (sign === '=') return left === right;
  if (sign === '<>' || sign === '!=') return left !== right;
  if (typeof left !== typeof right) return null;
  if (sign === '<') return left < right;
  if (sign === '<=') return left <= right;
  return sign === '>' ? left > right : left >= right;
}

function isLike(value: Value, pattern: Value): Value {
  if (typeof value !== 'string' || typeof pattern !== 'string') return null;
  return likeMatch(value, pattern);
}

/** Linear matching with one remembered %: no regular expression, so that no pattern can take exponential time. */
function likeMatch(value: string, pattern: string): boolean {
  let [at, wanted, starAt, resumeAt] = [0, 0, -1, 0];
  while (at < value.length) {
    const sign = pattern[wanted];
    if (sign === '%') {
      starAt = wanted++;
      resumeAt = at;
    } else if (sign === '_' || (sign !== undefined && sign === value[at])) {
      at++;
      wanted++;
    } else if (starAt >= 0) {
      wanted = starAt + 1;
      at = ++resumeAt;
    } else {
      return false;
    }
  }
  while (pattern[wanted] === '%') wanted++;
  return wanted === pattern.length;
}
