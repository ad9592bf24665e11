const { isPublic, ROUTES } = require('../../functions/_shared/routes.ts');

/**
 * The events of each function of the HTTP API, out of the table that the local API has as well: `${file(…):get-image}`.
 * All but the console's page, which tells nothing, need a caller who is known. A browser's preflight carries no credentials, so where pages may ask it needs none.
 */
module.exports = async ({ resolveVariable }) => {
  const authorizer = await resolveVariable('self:custom.authorizer');
  const origins = await resolveVariable('param:corsOrigins');
  const events = {};
  for (const [route, name] of Object.entries(ROUTES)) {
    const [method, path] = route === '$default' ? ['*', '*'] : route.split(' ');
    events[name] ??= [];
    events[name].push({ httpApi: { method, path, ...(isPublic(route) ? {} : { authorizer }) } });
  }
  if (origins) events['no-route'].push({ httpApi: { method: 'OPTIONS', path: '/{proxy+}' } });
  return events;
};
