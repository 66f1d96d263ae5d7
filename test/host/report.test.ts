import { describe, expect, it } from 'vitest';
import { Progress } from '../../runtime/engine/progress.ts';
import { Reporter } from '../../runtime/host/report.ts';

/** What a stream was told, as far as a reporter knows streams. */
function fakeStream(terminal: { readonly columns: number } | undefined): {
  stream: NodeJS.WriteStream;
  text(): string;
} {
  let text = '';
  const write = (chunk: string): boolean => {
    text += chunk;
    return true;
  };
  const stream = { isTTY: terminal !== undefined, columns: terminal?.columns, write };
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text };
}

const progress = new Progress(['chats', 'transactions']);

describe('the progress table', () => {
  it('fits into 80 columns', () => {
    const { stream, text } = fakeStream(undefined);
    new Reporter(stream).draw(progress);
    expect(text().split('\n')).toHaveLength(3);
    for (const row of text().split('\n')) expect(row.length).toBeLessThan(80);
  });

  it('is cut where a terminal would wrap it, so that as many rows are erased as were drawn', () => {
    const { stream, text } = fakeStream({ columns: 30 });
    const reporter = new Reporter(stream);
    reporter.draw(progress);
    for (const row of text().split('\n')) expect(row.length).toBeLessThan(30);
    reporter.line('next');
    expect(text().endsWith('\u001b[2A\u001b[0Jnext\n')).toBe(true);
  });

  it('is not cut and not erased when piped, and stays on the screen when the run is over', () => {
    const piped = fakeStream(undefined);
    const reporter = new Reporter(piped.stream);
    reporter.draw(progress);
    reporter.line('next');
    expect(piped.text()).not.toContain('\u001b');
    expect(piped.text()).toMatch(/waiting 0\nnext\n$/);
    const terminal = fakeStream({ columns: 100 });
    const last = new Reporter(terminal.stream);
    last.draw(progress);
    last.stop();
    last.line('end');
    expect(terminal.text()).toMatch(/waiting 0\nend\n$/);
  });
});
