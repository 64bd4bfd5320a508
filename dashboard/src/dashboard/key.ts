// The API key of this tab: kept in sessionStorage, which ends with the tab, and sent in a header or a first frame alone.

const NAME = 'tidings.dashboard.key';

export const key = {
  get: (): string | undefined => sessionStorage.getItem(NAME) ?? undefined,
  keep: (value: string): void => sessionStorage.setItem(NAME, value),
  forget: (): void => sessionStorage.removeItem(NAME),
};

/** Whether a node may do without one: it does under `--dev`, which serves its own machine alone. */
export const mayDoWithout = (): boolean => ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
