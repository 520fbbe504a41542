<?php
declare(strict_types=1);

/**
 * The tags that load a module of Vite and its styles.
 *
 * In development Vite serves the module itself, and the plugin says where in VITE_DEV_BASE. After `vite build` the manifest
 * lists what became of it: the same in `vite preview` and behind your web server, which serves dist/ at $base.
 */
function vite(string $module, string $base = '/', string $folder = __DIR__ . '/dist'): string
{
    $tag = fn (string $text, string $url): string => sprintf($text, htmlspecialchars($url)) . "\n";
    if (isset($_SERVER['VITE_DEV_BASE'])) {
        return $tag('<script type="module" src="%s"></script>', $_SERVER['VITE_DEV_BASE'] . $module);
    }
    $manifest = json_decode((string) file_get_contents("$folder/.vite/manifest.json"), true);
    $entry = $manifest[$module] ?? throw new RuntimeException("$module was not built: name it in build.rollupOptions.input");
    $tags = '';
    foreach ($entry['css'] ?? [] as $file) {
        $tags .= $tag('<link rel="stylesheet" href="%s">', $base . $file);
    }
    foreach ($entry['imports'] ?? [] as $import) {
        $tags .= $tag('<link rel="modulepreload" href="%s">', $base . $manifest[$import]['file']);
    }
    return $tags . $tag('<script type="module" src="%s"></script>', $base . $entry['file']);
}
