// PHP pages with modules from Vite:
//
//   npm install fastway vite
//   npx vite                            pages by PHP, modules by Vite, both reload when you save
//   npx vite build && npx vite preview  the same with the built files
import { fastway } from 'fastway/adapters/vite';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [fastway({ root: 'public' })],
  // No index.html names the modules, so that this does; the page finds what became of them in the manifest.
  build: { rollupOptions: { input: 'src/main.ts' } },
});
