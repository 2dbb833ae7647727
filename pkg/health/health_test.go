package health

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

func get(t *testing.T, r *Registry, path string) (int, string) {
	t.Helper()
	mux := http.NewServeMux()
	r.Register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestProbes(t *testing.T) {
	t.Parallel()
	var r Registry
	check := func(path string, code int, body string) {
		t.Helper()
		if gotCode, gotBody := get(t, &r, path); gotCode != code || gotBody != body {
			t.Errorf("%s: %d %q, want %d %q", path, gotCode, gotBody, code, body)
		}
	}
	check("/healthz", 200, "ok\n")
	check("/readyz", 503, "starting\n")

	store, media := r.Part("store"), r.Part("media")
	check("/readyz", 503, "media: starting\nstore: starting\n")
	store.Set(nil)
	check("/readyz", 503, "media: starting\n")
	media.Set(nil)
	check("/readyz", 200, "ok\n")
	r.Part("store") // the same part keeps its state
	check("/readyz", 200, "ok\n")
	store.Set(errors.New("disk full"))
	check("/readyz", 503, "store: disk full\n")
	check("/healthz", 200, "ok\n")

	var answers atomic.Bool
	r.Check("voice", func() error {
		if answers.Load() {
			return nil
		}
		return errors.New("it does not answer")
	})
	store.Set(nil)
	check("/readyz", 503, "voice: it does not answer\n")
	answers.Store(true)
	check("/readyz", 200, "ok\n")

	var alive atomic.Bool
	r.LiveCheck(alive.Load)
	check("/healthz", 503, "the process does not work any more\n")
	alive.Store(true)
	check("/healthz", 200, "ok\n")
}
