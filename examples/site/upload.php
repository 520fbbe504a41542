<?php
declare(strict_types=1);

require __DIR__ . '/parts/page.php';

/** A small picture as a data: URL; undefined for anything else. */
function preview(string $path): ?string
{
    if (filesize($path) > 300_000) {
        return null;
    }
    $type = getimagesize($path)['mime'] ?? '';
    return in_array($type, ['image/png', 'image/jpeg', 'image/gif', 'image/webp'], true)
        ? "data:$type;base64," . base64_encode((string) file_get_contents($path))
        : null;
}

const UPLOAD_ERRORS = [
    UPLOAD_ERR_INI_SIZE => 'larger than upload_max_filesize allows',
    UPLOAD_ERR_FORM_SIZE => 'larger than the form allows',
    UPLOAD_ERR_PARTIAL => 'came only in part',
    UPLOAD_ERR_NO_FILE => 'no file was chosen',
    UPLOAD_ERR_NO_TMP_DIR => 'there is no folder for temporary files',
    UPLOAD_ERR_CANT_WRITE => 'could not be written',
    UPLOAD_ERR_EXTENSION => 'an extension refused it',
];

start_page('An upload', 'Choose some files. They are measured, shown, and not kept.');
?>
  <form method="post" enctype="multipart/form-data" action="<?= e(url('upload.php')) ?>">
    <label>Files <input type="file" name="files[]" multiple></label>
    <p class="buttons"><button>Upload</button>
      <span class="quiet">up to <?= e((string) ini_get('upload_max_filesize')) ?> each</span></p>
  </form>
<?php
$files = $_FILES['files'] ?? null;
if (is_array($files) && is_array($files['name'])):
    echo "  <h2>What PHP received</h2>\n";
    foreach ($files['name'] as $i => $name):
        $error = $files['error'][$i];
        $path = $files['tmp_name'][$i];
        if ($error !== UPLOAD_ERR_OK):
            echo '  <p class="note">', e($name === '' ? 'Nothing' : $name), ': ', e(UPLOAD_ERRORS[$error] ?? "error $error"), ".</p>\n";
            continue;
        endif;
        table([
            'Name' => $name,
            'Type, as the browser says' => $files['type'][$i],
            'Bytes' => number_format($files['size'][$i]),
            'SHA-256' => hash_file('sha256', $path),
        ]);
        $picture = @preview($path);
        if ($picture !== null):
            echo '  <p><img class="preview" src="', e($picture), '" alt="', e($name), "\"></p>\n";
        endif;
    endforeach;
elseif ($_SERVER['REQUEST_METHOD'] === 'POST'):
    echo '  <p class="note">PHP dropped the body: it is larger than post_max_size (', e((string) ini_get('post_max_size')), ").</p>\n";
endif;
end_page();
