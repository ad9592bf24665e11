import type { ExecutionDeps } from '../../functions/_shared/executions.ts';
import { type HttpFunction, ROUTES } from '../../functions/_shared/routes.ts';
import * as checkImage from '../../functions/check-image.ts';
import * as consolePage from '../../functions/console.ts';
import * as getConversion from '../../functions/get-conversion.ts';
import * as getImage from '../../functions/get-image.ts';
import * as getMap from '../../functions/get-map.ts';
import * as getOpenapi from '../../functions/get-openapi.ts';
import * as listObjects from '../../functions/list-objects.ts';
import * as listPlaces from '../../functions/list-places.ts';
import * as noRoute from '../../functions/no-route.ts';
import * as startConversion from '../../functions/start-conversion.ts';
import * as startView from '../../functions/start-view.ts';
import * as stopConversion from '../../functions/stop-conversion.ts';
import type { HttpHandler, Routes } from './http-api.ts';
import type { Lambda } from './stack-options.ts';

/** The same table as in AWS, over the same handlers. */
export function httpRoutes(deps: ExecutionDeps, lambda: Lambda): Routes {
  const creates: Record<HttpFunction, () => HttpHandler> = {
    console: () => consolePage.createHandler(deps),
    'list-places': () => listPlaces.createHandler(deps),
    'get-image': () => getImage.createHandler(deps),
    'get-map': () => getMap.createHandler(deps),
    'list-objects': () => listObjects.createHandler(deps),
    'check-image': () => checkImage.createHandler(deps),
    'get-openapi': () => getOpenapi.createHandler(deps),
    'start-conversion': () => startConversion.createHandler(deps),
    'get-conversion': () => getConversion.createHandler(deps),
    'stop-conversion': () => stopConversion.createHandler(deps),
    'start-view': () => startView.createHandler(deps),
    'no-route': () => noRoute.createHandler(deps),
  };
  const handlers = Object.fromEntries(
    Object.entries(creates).map(([name, create]) => [name, lambda(name, create as never) as HttpHandler]),
  );
  return Object.fromEntries(Object.entries(ROUTES).map(([route, name]) => [route, handlers[name] as HttpHandler]));
}
