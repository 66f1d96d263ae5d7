import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from '../../runtime/host/child.ts';
import { startBroker } from '../../runtime/host/local-broker.ts';

/** The broker that several victims share: killed and started again under way, on its port and with its journal. */
export class BrokerUnderFire {
  readonly port: number;
  readonly #state: string;
  #broker: Child;
  #turn: Promise<void> = Promise.resolve();

  private constructor(state: string, broker: Child) {
    this.#state = state;
    this.#broker = broker;
    this.port = Number(broker.ready['port']);
  }

  static async start(state: string): Promise<BrokerUnderFire> {
    return new BrokerUnderFire(state, await startBroker(state, 0));
  }

  /** To reach it by this or another port of 127.0.0.1. */
  connectionString(port = this.port): string {
    return String(this.#broker.ready['connectionString']).replace(`:${this.port}`, `:${port}`);
  }

  /** SIGKILL, and a new process `afterMs` later. In turn when it is asked for twice. */
  crash(afterMs: number): Promise<void> {
    const crashed = this.#turn.then(async () => {
      process.kill(this.#broker.pid, 'SIGKILL');
      await this.#broker.ended;
      await sleep(afterMs);
      this.#broker = await startBroker(this.#state, this.port);
    });
    this.#turn = crashed.catch(() => undefined);
    return crashed;
  }

  async stop(): Promise<void> {
    await this.#turn;
    await this.#broker.stop();
  }
}
