import type { Entity } from '../../../runtime/core/route.ts';
import type { PipelineDeps } from '../../../runtime/engine/pipeline.ts';

/** A deliberate bug, put between the engine and its ports: the checkers must find it. */
export interface Mutant {
  /** Which checker must speak up. */
  readonly found: RegExp;
  readonly deps?: (deps: PipelineDeps) => PipelineDeps;
  readonly entities?: (entities: readonly Entity[]) => readonly Entity[];
}
