/** Whether a reader at `place` has had what ends at `cursor`. False where the two cannot be compared. */
export declare function covers(place: string, cursor: string): boolean;
