import { Worker } from 'node:worker_threads';
import type { Job, JobResult } from './job.ts';

type Answer = { readonly result: JobResult } | { readonly job: Job; readonly error: string };

/** Workers that run jobs, each one at a time. Whoever opened a crew closes it. */
export class Crew {
  readonly #workers: readonly Worker[];

  constructor(size: number) {
    this.#workers = Array.from({ length: size }, () => new Worker(new URL('worker.ts', import.meta.url)));
  }

  /** Runs all jobs; `onResult` is told in the order in which they end. @throws Error when a simulation breaks. */
  async run(jobs: readonly Job[], onResult: (result: JobResult) => void): Promise<void> {
    const queue = jobs.values();
    await Promise.all(this.#workers.map((worker) => this.#drive(worker, queue, onResult)));
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  async #drive(worker: Worker, queue: Iterator<Job>, onResult: (result: JobResult) => void): Promise<void> {
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      const answered = new Promise<Answer>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      worker.postMessage(next.value, []);
      const answer = await answered;
      worker.removeAllListeners('error');
      if ('error' in answer) throw new Error(`seed ${answer.job.seed} broke the simulation: ${answer.error}`);
      onResult(answer.result);
    }
  }
}
