/** Whether a reader at `place` has had what ends at `cursor`. False where the two cannot be compared. */
export declare function covers(place: string, cursor: string): boolean;
/** The parts of a cursor of `count` channels, in their order; none where it has another form. */
export declare function parts(cursor: string, count: number): string[];
