/** What this tab knows of its caller. It is gone with the tab: nothing is kept in the browser beyond that. */
const TOKEN = 'unqcow token';
const STARTED = 'unqcow conversions';

export const token = (): string => sessionStorage.getItem(TOKEN) ?? '';

export function setToken(text: string): void {
  if (text === '') sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, text);
}

/** `unqcow console` hands its token over in the fragment, which no server sees; it does not stay in the address. */
export function takeTokenFromAddress(): void {
  const [, given] = /^#token=([\w.~+/-]+=*)$/.exec(location.hash) ?? [];
  if (given === undefined) return;
  setToken(given);
  history.replaceState(null, '', `${location.pathname}#/`);
}

/** The conversions that were started or followed here, the latest first. */
export const knownConversions = (): string[] => JSON.parse(sessionStorage.getItem(STARTED) ?? '[]');

export function rememberConversion(id: string): void {
  const others = knownConversions().filter((each) => each !== id);
  sessionStorage.setItem(STARTED, JSON.stringify([id, ...others].slice(0, 50)));
}
