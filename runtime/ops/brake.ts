import type { Command } from 'commander';
import { targetText } from '../core/brake.ts';
import {
  type BrakeAnswer,
  brakeText,
  type BrakeWish,
  engageBrakeAt,
  listBrakes,
  releaseBrakeAt,
  releaseCommand,
} from '../host/brake-command.ts';
import { print, printJson } from '../host/exits.ts';
import { placeFlags } from '../host/stack-storage.ts';
import { addPlace, type PlaceFlags, placeOf } from './where.ts';

interface BrakeFlags extends PlaceFlags {
  readonly lane?: string;
  readonly miner?: string;
  readonly reason?: string;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** The commands that stop lanes and release them. */
export function addBrake(brake: Command): void {
  addChange(brake, 'engage', 'stops a lane or a miner within seconds; what is mined is still delivered').action(
    async (flags: BrakeFlags) => {
      const answer = await engageBrakeAt(placeOf(flags), wishOf(flags));
      tell(flags, answer, engagedText(answer, flags));
    },
  );
  addChange(brake, 'release', 'lets a lane or a miner go on, without a restart').action(async (flags: BrakeFlags) => {
    const answer = await releaseBrakeAt(placeOf(flags), wishOf(flags));
    tell(flags, answer, releasedText(answer, flags));
  });
  addPlace(brake.command('status').description('who stopped what, when and why'))
    .option('--json', 'one JSON object on stdout', false)
    .action(async (flags: PlaceFlags & { json: boolean }) => {
      const brakes = await listBrakes(placeOf(flags));
      const lines = brakes.map((one) => `${brakeText(one)}\n`).join('');
      const isOpen = brakes.every(({ isEngaged }) => !isEngaged);
      const text = isOpen ? `No lane and no miner is stopped.\n${lines}` : lines;
      if (flags.json) printJson({ brakes });
      else print(text);
    });
}

function addChange(brake: Command, name: string, description: string): Command {
  return addPlace(brake.command(name).description(description))
    .option('--lane <name>', 'realtime, money or bulk')
    .option('--miner <name>', 'only this data type')
    .option('--reason <text>', 'why, for whoever finds it')
    .option('--dry-run', 'say what would happen and change nothing', false)
    .option('--json', 'one JSON object on stdout', false);
}

function wishOf({ lane, miner, reason, dryRun }: BrakeFlags): BrakeWish {
  return { lane, miner, reason, isDry: dryRun };
}

function tell(flags: BrakeFlags, answer: BrakeAnswer, text: string): void {
  const { target, hasChanged, brake } = answer;
  const json = { target, changed: hasChanged && !flags.dryRun, brake: brake ?? null };
  if (flags.json) printJson(json);
  else print(`${text}\n`);
}

function engagedText({ target, hasChanged, brake }: BrakeAnswer, flags: BrakeFlags): string {
  const what = `The ${targetText(target)}`;
  if (!hasChanged && brake !== undefined) return `${what} was stopped before. ${brakeText(brake)}`;
  if (flags.dryRun) return `${what} would stop: ${flags.reason ?? ''}. Nothing was changed.`;
  return `${what} is stopped. Every process sees it within 5 s; what is mined is still delivered, and nothing is lost.\nNext: ${releaseCommand(target, placeFlags(placeOf(flags)))}`;
}

function releasedText({ target, hasChanged }: BrakeAnswer, flags: BrakeFlags): string {
  const what = `The ${targetText(target)}`;
  if (!hasChanged) return `${what} is not stopped. Next: npm run adit -- brake status${placeFlags(placeOf(flags))}`;
  if (flags.dryRun) return `${what} would be released. Nothing was changed.`;
  return `${what} is released. Its messages come back by themselves, each when its wait is over; firings go on at once.`;
}
