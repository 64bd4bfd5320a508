import { TidingsError } from './errors.js';
import { type State } from './state.js';
import type { OpenTransport, Transport, TransportEvent, Wire } from './transports/transport.js';
import type { TransportName } from './types.js';
/** What a link needs. */
export interface LinkParts {
    transports: Partial<Record<TransportName, OpenTransport>>;
    order: readonly TransportName[];
    wire: Omit<Wire, 'emit' | 'trial'>;
    emit(event: TransportEvent): void;
    onState(state: State): void;
    log(text: string): void;
}
/** Keeps one transport open: the best that works. Down when one is bad, up again without a hole, back after a cut. */
export declare class Link {
    #private;
    constructor(parts: LinkParts);
    get state(): State;
    /** The connection that takes requests, where there is one now. */
    get session(): Required<Pick<Transport, 'request'>> | undefined;
    /** Reads what is wanted now. */
    update(): void;
    refresh(token: string): void;
    /** Lets go of the connection; another link goes on. */
    leave(): void;
    close(error?: TidingsError): void;
}
