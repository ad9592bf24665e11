/** What of `npm audit --json` is looked at; without `vulnerabilities` where the registry could not be asked. */
export interface AuditReport {
  readonly statusCode?: number;
  readonly vulnerabilities?: Readonly<Record<string, { readonly via: readonly (string | Advisory)[] }>>;
}

export interface Advisory {
  /** Of the package that it is on. */
  readonly name: string;
  readonly severity: string;
  readonly title: string;
  readonly url: string;
}

/** Each advisory once, however many packages it reaches us by. */
export function advisoriesIn({ vulnerabilities = {} }: AuditReport): Advisory[] {
  const all = Object.values(vulnerabilities).flatMap(({ via }) => via.filter((each) => typeof each !== 'string'));
  return [...new Map(all.map((advisory) => [advisory.url, advisory])).values()];
}
