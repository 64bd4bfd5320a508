import type { TokenSource } from './types.js';
/** What a JWT says of itself. Nothing is verified: that is the server's part. */
export declare function claims(token: string): {
    sub?: string;
    exp?: number;
    iat?: number;
};
/** The token in force: asked for when it is first needed, before it ends, and when it is refused. */
export declare class Credentials {
    #private;
    /** `onRefresh` is told a token that replaces one before it ends. */
    constructor(source: TokenSource | undefined, onRefresh: (token: string) => void);
    /** The token, or undefined where none is used. Rejects with `token-failed`. */
    get(): Promise<string | undefined>;
    /** Whether there is another token to be had. */
    get renewable(): boolean;
    /** Forgets a token that was refused. False where there is no other to be had. */
    refused(token: string | undefined): boolean;
    end(): void;
}
