import { expect, test } from 'vitest';
import type { AmqpValue } from '../../../runtime/local/broker/amqp-bytes.ts';
import { compileSql } from '../../../runtime/local/broker/sql-filter.ts';

const facts = {
  fields: new Map<string, AmqpValue>([
    ['label', 'car'],
    ['message-id', 'm1'],
    ['to', null],
  ]),
  properties: new Map<string, AmqpValue>([
    ['Colour', 'red'],
    ['size', 10],
    ['isNew', true],
    ["it's", 'quoted'],
  ]),
};

test.each([
  ['1=1', true],
  ['1=0', false],
  ['TRUE', true],
  ["colour = 'red'", true],
  ["user.colour <> 'red'", false],
  ['size > 9 AND size <= 10', true],
  ['size != 10 OR isNew', true],
  ['NOT (size < 5)', true],
  ["sys.Label = 'car' AND sys.MessageId LIKE 'm_'", true],
  ["Subject = 'car'", false],
  ["sys.Subject = 'car'", true],
  ["colour IN ('blue', 'red')", true],
  ["colour NOT IN ('blue', 'green')", true],
  ["colour LIKE 'r%d%'", true],
  ["colour NOT LIKE '%e'", true],
  ['missing IS NULL', true],
  ['colour IS NOT NULL', true],
  ['sys.To IS NULL', true],
  ['EXISTS(size) AND NOT EXISTS(other)', true],
  ['missing = 1', false],
  ['NOT (missing = 1)', false],
  ['missing = 1 OR size = 10', true],
  ["[it's] = 'quoted'", true],
  ["colour = 'it''s'", false],
  ["size < 'text'", false],
  ['size > -1.5', true],
])('%s is %s', (expression, expected) => {
  expect(compileSql(expression)(facts)).toBe(expected);
});

test.each([
  '',
  'size >',
  'size NOT 3',
  '(size = 1',
  'a b',
  'size = 1 §',
  "'open",
  'IN (1)',
  `${'('.repeat(50)}1=1${')'.repeat(50)}`,
])('%s is refused', (expression) => {
  expect(() => compileSql(expression)).toThrow(Error);
});

test('a filter has a limited length', () => {
  expect(() => compileSql(`a = '${'x'.repeat(1_100)}'`)).toThrow(/1024/);
});

test('a pattern of many wildcards takes no exponential time', () => {
  const isMatch = compileSql(`colour LIKE '${'%a'.repeat(400)}'`);
  const properties = new Map<string, AmqpValue>([['colour', 'a'.repeat(10_000) + 'b']]);
  expect(isMatch({ fields: new Map(), properties })).toBe(false);
});
