import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Application } from '../application.ts';
import { picture } from '../material.ts';
import { accepts, startService } from '../services.ts';
import { command } from '../system-files.ts';

/** Of Go's own net/http/fcgi, which without a listener takes the socket that it inherits. */
const source = `package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
)

func main() {
	http.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Method, r.FormValue("text"))
	})
	http.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		file, _, err := r.FormFile("file")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "image/png")
		io.Copy(w, file)
	})
	http.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < 200000; i++ {
			fmt.Fprintln(w, i)
		}
	})
	var listener net.Listener
	if len(os.Args) > 1 {
		var err error
		if listener, err = net.Listen("unix", os.Args[1]); err != nil {
			panic(err)
		}
		os.Chmod(os.Args[1], 0666)
	}
	panic(fcgi.Serve(listener, nil))
}
`;

export const application: Application = {
  title: 'Go (net/http/fcgi)',
  packages: ['golang-go'],

  prepare(place) {
    const { folder } = place;
    const program = join(folder, 'program');
    const work = join(folder, 'source');
    mkdirSync(work);
    writeFileSync(join(work, 'main.go'), source);
    command(['go', 'build', '-o', program, 'main.go'], {
      cwd: work,
      env: { GO111MODULE: 'off', GOCACHE: join(folder, 'cache'), HOME: folder },
    });
    const socket = join(folder, 'go.sock');
    return {
      fastway: {
        sources: { go: { interpreter: [program] } },
        virtualServers: [
          { documentRoot: work, rules: [{ handler: { type: 'fastcgi', source: 'go', checkFile: false } }] },
        ],
      },
      peer: {
        kind: 'nginx',
        source: 'with fastcgi_pass',
        start: () => startService(place, [program, socket], () => accepts(socket)),
        directives: () => `
location / {
  include /etc/nginx/fastcgi_params;
  fastcgi_param HTTP_HOST $http_host;
  fastcgi_pass unix:${socket};
}`,
      },
    };
  },

  async use(visitor) {
    visitor.step('sends a form');
    const form = await visitor.submit('/form', { text: 'Käse & Brot' });
    assert.equal(form.text, 'POST Käse & Brot');
    await visitor.ask('/form?text=a%2Bb%26c');
    visitor.step('uploads a picture, and gets it back');
    const file = { name: 'file', filename: 'pixel.png', type: 'image/png', content: picture };
    const back = await visitor.upload('/upload', {}, file);
    assert.ok(back.body.equals(picture));
    visitor.step('downloads 1.3 MB');
    const large = await visitor.ask('/large');
    assert.ok(large.text.endsWith('\n199999\n'));
    visitor.step('asks without a file (400) and for what is not there (404)');
    assert.equal((await visitor.ask('/upload')).status, 400);
    assert.equal((await visitor.ask('/none')).status, 404);
  },
};
