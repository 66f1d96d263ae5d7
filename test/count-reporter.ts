import { appendFileSync } from 'node:fs';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** File that the counts are appended to, a line `passed failed skipped` per run. Default: none. */
const COUNTS_FILE_VARIABLE = 'TEST_COUNTS_FILE';

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

/** Not run because the file or a hook around it failed, which is reported where it failed. */
function isBuried(test: TestCase): boolean {
  let around: TestCase['parent'] = test.parent;
  while (around.type === 'suite' && around.errors().length === 0) around = around.parent;
  return around.errors().length > 0;
}

function countLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}

/**
 * Names every skipped test with its reason, then ends the run with one plain line. The numbers come from the runner's
 * own results; a file that cannot be loaded and an error outside any test count as failed.
 */
export class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const suites = modules.flatMap((module) => [module, ...module.children.allSuites()]);
    const stateCount = (state: string): number => tests.filter((test) => test.result().state === state).length;
    const brokenCount = suites.reduce((sum, suite) => sum + suite.errors().length, errors.length);
    const counts = {
      passed: stateCount('passed'),
      // A test without a result was never reached; that is no success.
      failed: stateCount('failed') + stateCount('pending') + brokenCount,
      skipped: stateCount('skipped'),
    };
    for (const test of tests) {
      const result = test.result();
      if (result.state === 'skipped' && !isBuried(test))
        console.log(`NOT RUN ${nameOf(test)}: ${result.note ?? 'no reason given'}`);
    }
    const file = process.env[COUNTS_FILE_VARIABLE];
    if (file !== undefined) appendFileSync(file, `${counts.passed} ${counts.failed} ${counts.skipped}\n`);
    console.log(countLine(counts));
  }
}
