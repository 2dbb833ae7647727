package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"github.com/mss-federation/mss/pkg/health"
)

// Limits towards whoever asks over TCP: nobody there has proved who he is.
const (
	headerTimeout  = 5 * time.Second
	answerTimeout  = 15 * time.Second
	idleTimeout    = time.Minute
	maxHeader      = 16 << 10 // bytes
	maxConnections = 64       // per listener
	maxScrapes     = 4        // at once
	stopTimeout    = time.Second
)

// Server answers over HTTP.
type Server struct {
	// Health answers /healthz and /readyz. Required.
	Health *health.Registry
	// Metrics are the process's own. Required.
	Metrics *Set
	// Siblings are the other processes of the node; their metrics are shown with the own ones.
	Siblings []*Sibling
	// Level is what PUT /log-level changes on the Unix socket. Nil means that it cannot be changed there.
	Level *slog.LevelVar
	// Logger gets what an operator must know. Required.
	Logger *slog.Logger
}

// Run serves until ctx ends and closes the listeners. local is a Unix socket whose file keeps strangers out; open are
// those for everyone who gets there, with /healthz, /readyz and /metrics alone.
func (s *Server) Run(ctx context.Context, local net.Listener, open ...net.Listener) error {
	gatherers := prometheus.Gatherers{s.Metrics.registry}
	for _, sibling := range s.Siblings {
		gatherers = append(gatherers, sibling)
	}
	metrics := promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{
		ErrorLog: complaints{s.Logger}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes,
	})
	servers := []*http.Server{s.server(s.local(metrics), 0)}
	listeners := []net.Listener{local}
	for _, l := range open {
		servers = append(servers, s.server(s.open(metrics), answerTimeout))
		listeners = append(listeners, netutil.LimitListener(l, maxConnections))
	}
	return serve(ctx, servers, listeners)
}

// open has what everyone may ask.
func (s *Server) open(metrics http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	s.Health.Register(mux)
	mux.Handle("GET /metrics", metrics)
	return mux
}

// local has, besides, what tells of memory contents and what changes something.
func (s *Server) local(metrics http.Handler) *http.ServeMux {
	mux := s.open(metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	if s.Level != nil {
		mux.HandleFunc("PUT /log-level", s.setLevel)
	}
	return mux
}

func (s *Server) setLevel(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(io.LimitReader(r.Body, 64))
	if err == nil {
		err = SetLevel(s.Level, strings.TrimSpace(string(text)))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (s *Server) server(handler http.Handler, write time.Duration) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: answerTimeout, WriteTimeout: write, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
}

// serve runs the servers until ctx ends or one of them fails.
func serve(ctx context.Context, servers []*http.Server, listeners []net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failures := make([]error, len(servers))
	var running sync.WaitGroup
	for i := range servers {
		running.Go(func() {
			defer cancel()
			if err := servers[i].Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				failures[i] = err
			}
		})
	}
	<-ctx.Done()
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer done()
	for _, server := range servers {
		if server.Shutdown(stopping) != nil {
			_ = server.Close() // whoever still reads has had his second
		}
	}
	running.Wait()
	return errors.Join(failures...)
}

// complaints lets promhttp say what it could not gather.
type complaints struct{ logger *slog.Logger }

// Println logs.
func (c complaints) Println(words ...any) {
	c.logger.Warn("metrics not gathered", slog.Any("cause", words))
}
