// The one file that looks into a cursor. To everybody else it is a string.
//
// A part of a cursor is 32 characters: 24 bytes in base64url, which are a tag of the channel, the
// epoch of its log, and an offset that only increases. One of another form can still be compared for
// equality: nothing depends on more for going on, only for telling what was seen before.

const PART = 32;

function parse(cursor: string): { log: string; offset: bigint } | undefined {
  if (cursor.length !== PART) return undefined;
  try {
    const raw = atob(cursor.replaceAll('-', '+').replaceAll('_', '/'));
    let offset = 0n;
    for (let i = 16; i < 24; i++) offset = (offset << 8n) | BigInt(raw.charCodeAt(i));
    return { log: raw.slice(0, 16), offset };
  } catch {
    return undefined;
  }
}

/** Whether a reader at `place` has had what ends at `cursor`. False where the two cannot be compared. */
export function covers(place: string, cursor: string): boolean {
  if (place === cursor) return true;
  const [at, other] = [parse(place), parse(cursor)];
  return at !== undefined && other !== undefined && at.log === other.log && other.offset <= at.offset;
}

/** The parts of a cursor of `count` channels, in their order; none where it has another form. */
export function parts(cursor: string, count: number): string[] {
  return cursor.length === PART * count ? (cursor.match(/.{32}/g) ?? []) : [];
}
