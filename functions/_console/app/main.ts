import { fill, h, say } from './dom.ts';
import { problemView } from './problem.ts';
import { type Route, routeOf } from './routes.ts';
import { takeTokenFromAddress } from './session.ts';
import { accessView } from './views/access.ts';
import { checkView } from './views/check.ts';
import { conversionsView, conversionView } from './views/conversion.ts';
import { convertView } from './views/convert.ts';
import { imageView } from './views/image.ts';
import { mapView } from './views/map.ts';
import { objectsView } from './views/objects.ts';
import { placesView } from './views/places.ts';
import { rawViewView } from './views/raw-view.ts';

/** Shows one page in an element. `gone` is aborted when another takes its place. */
export type View = (route: Route, page: HTMLElement, gone: AbortSignal) => Promise<void> | void;

const VIEWS: Readonly<Record<string, View>> = {
  '': placesView,
  objects: objectsView,
  image: imageView,
  map: mapView,
  check: checkView,
  convert: convertView,
  view: rawViewView,
  conversions: conversionsView,
  conversion: conversionView,
  access: accessView,
};

let shown: AbortController | undefined;

async function show(moved: boolean): Promise<void> {
  shown?.abort();
  const current = new AbortController();
  shown = current;
  const main = document.getElementById('main') as HTMLElement;
  const route = routeOf(location.hash);
  const view = Object.hasOwn(VIEWS, route.name) ? VIEWS[route.name] : undefined;
  const page = h('div', { class: 'page' });
  markSection(route.name);
  fill(main, page);
  try {
    if (view === undefined)
      fill(page, h('h1', {}, 'There is no such page'), h('p', {}, h('a', { href: '#/' }, 'Images')));
    else await view(route, page, current.signal);
  } catch (error) {
    if (current.signal.aborted) return;
    page.append(problemView(error));
  }
  if (current.signal.aborted) return;
  const heading = page.querySelector('h1');
  document.title = heading?.textContent ? `${heading.textContent} · unqcow` : 'unqcow';
  if (moved) main.focus({ preventScroll: true });
  say(document.title);
}

/** Which of the header's links leads to where one is: an image's pages belong to the images. */
function markSection(name: string): void {
  const section = name.startsWith('conversion') ? 'conversions' : name === 'access' ? name : '';
  for (const link of document.querySelectorAll('.sections a')) {
    if (link.getAttribute('href') === `#/${section}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

takeTokenFromAddress();
document.querySelector('.skip')?.addEventListener('click', (event) => {
  event.preventDefault();
  document.getElementById('main')?.focus();
});
addEventListener('hashchange', () => {
  scrollTo(0, 0);
  void show(true);
});
void show(false);
