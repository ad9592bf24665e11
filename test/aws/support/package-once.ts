import { folderOf, packageService, VARIANTS } from './package.ts';

export function setup(): void {
  for (const [variant, parameters] of Object.entries(VARIANTS))
    packageService(folderOf(variant as keyof typeof VARIANTS), parameters);
}
