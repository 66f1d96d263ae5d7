import { expect, test } from 'vitest';
import { Heap } from '../../../runtime/local/broker/heap.ts';
import { ReadyList } from '../../../runtime/local/broker/ready-list.ts';

test('items leave in the order of their numbers, returned ones first', () => {
  const list = new ReadyList<{ seq: number }>();
  const items = Array.from({ length: 5_000 }, (_, seq) => ({ seq }));
  for (const item of items) list.add(item);
  const taken = Array.from({ length: 2_000 }, () => list.take());
  for (const item of taken.toReversed()) if (item !== undefined && item.seq % 2 === 0) list.add(item);
  expect(list.size).toBe(4_000);
  const rest: number[] = [];
  for (let item = list.take(); item !== undefined; item = list.take()) rest.push(item.seq);
  expect(rest).toEqual(items.map((item) => item.seq).filter((seq) => seq >= 2_000 || seq % 2 === 0));
  expect([list.size, list.first(), list.take()]).toEqual([0, undefined, undefined]);
});

test('a list that is filled and emptied at once stays in order', () => {
  const list = new ReadyList<{ seq: number }>();
  let last = -1;
  for (let seq = 0; seq < 10_000; seq++) {
    list.add({ seq });
    if (seq % 3 === 0) continue;
    const item = list.take();
    expect(item?.seq).toBe((last += 1));
  }
});

test('a heap gives its least first and forgets what is not wanted', () => {
  const heap = new Heap<number>((item) => item);
  for (const item of [5, 3, 9, 1, 7, 3]) heap.add(item);
  heap.retain((item) => item !== 9);
  const taken: number[] = [];
  for (let item = heap.take(); item !== undefined; item = heap.take()) taken.push(item);
  expect(taken).toEqual([1, 3, 3, 5, 7]);
});
