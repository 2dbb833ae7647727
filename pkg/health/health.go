// Package health says whether a process lives and whether it serves. Its parts report to one [Registry]; probes ask
// that over HTTP: /healthz is 200 while the process lives, /readyz while all its parts serve, and both say in words what
// is wrong. It opens no port (see telemetry). Start at [Registry.Part].
package health

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// errStarting is the state of a part until it says otherwise.
var errStarting = errors.New("starting")

// Registry knows the state of a process's parts. The zero Registry is ready to use and, without parts, not ready: a
// process serves when somebody says so.
type Registry struct {
	mu struct {
		sync.Mutex
		parts map[string]func() error
		alive func() bool
	}
}

// Part is one thing that must work for the process to serve, such as "store". It reports for itself; its methods may
// be called from anywhere.
type Part struct {
	registry *Registry
	name     string
}

// Part adds a part, which is starting. The same name is the same part.
func (r *Registry) Part(name string) Part {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.mu.parts[name]; !known {
		r.setLocked(name, func() error { return errStarting })
	}
	return Part{registry: r, name: name}
}

// Check adds a part that is asked at each probe instead of reporting. check bounds how long it takes; it may be called
// from several goroutines.
func (r *Registry) Check(name string, check func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setLocked(name, check)
}

func (r *Registry) setLocked(name string, state func() error) {
	if r.mu.parts == nil {
		r.mu.parts = make(map[string]func() error)
	}
	r.mu.parts[name] = state
}

// Set reports the part's state: nil while it serves, else why it does not.
func (p Part) Set(err error) {
	p.registry.mu.Lock()
	defer p.registry.mu.Unlock()
	p.registry.setLocked(p.name, func() error { return err })
}

// LiveCheck sets what decides whether the process lives: the check that its heartbeat uses too. Without one it lives
// as long as it answers.
func (r *Registry) LiveCheck(alive func() bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.alive = alive
}

// Ready is nil while all parts serve, else it names those that do not, in the order of their names.
func (r *Registry) Ready() error {
	r.mu.Lock()
	parts := maps.Clone(r.mu.parts)
	r.mu.Unlock()
	if len(parts) == 0 {
		return errStarting
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if err := parts[name](); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Live is nil while the process lives.
func (r *Registry) Live() error {
	r.mu.Lock()
	alive := r.mu.alive
	r.mu.Unlock()
	if alive != nil && !alive() {
		return errors.New("the process does not work any more")
	}
	return nil
}

// Register puts /healthz and /readyz on a mux.
func (r *Registry) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", probe(r.Live))
	mux.HandleFunc("GET /readyz", probe(r.Ready))
}

func probe(state func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		text := "ok\n"
		if err := state(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			text = strings.TrimSuffix(err.Error(), "\n") + "\n"
		}
		_, _ = io.WriteString(w, text) // a probe that went away has its answer
	}
}
