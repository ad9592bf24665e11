/** A refusal of a service's API, by the name that its client has for it. */
export class ServiceError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

const NAME_LENGTH = 80;
/** White space, brackets, wildcards, what Step Functions calls special characters, and control characters. */
const NOT_IN_A_NAME = /[\s<>{}[\]?*"#%\\^|~`$&,;:/\p{Cc}\p{Cs}\uFFFE\uFFFF]/u;

/** @throws ServiceError `InvalidName` */
export function assertExecutionName(name: string): void {
  if (name.length >= 1 && name.length <= NAME_LENGTH && !NOT_IN_A_NAME.test(name)) return;
  throw new ServiceError('InvalidName', `Invalid Name: '${name}'`);
}
