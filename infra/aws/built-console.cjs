/** Has bundles hold the console as it is built, in the place of the module that builds it. */
module.exports = [
  {
    name: 'built-console',
    setup(build) {
      build.onLoad({ filter: /\/_console\/page\.ts$/ }, async () => {
        const { builtModule } = await import('../../functions/_console/page.ts');
        return { contents: await builtModule(), loader: 'js' };
      });
    },
  },
];
