package servercert

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// DefaultEvery is how often the files are looked at.
const DefaultEvery = 2 * time.Second

// Holder has the pair that is in use, and replaces it when the files hold another good one. It reads the files again
// and again instead of watching folders: that sees renames, links that point elsewhere and network drives alike.
type Holder struct {
	files  Files
	every  time.Duration
	logger *slog.Logger
	pair   atomic.Pointer[Pair]
	wrong  atomic.Pointer[string] // why the files' present content is not used; nil while it is

	last string // Run's: what was wrong at the last look
}

// New holds a pair. Zero every means DefaultEvery, a nil logger silence.
func New(files Files, pair *Pair, every time.Duration, logger *slog.Logger) *Holder {
	if every == 0 {
		every = DefaultEvery
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	h := &Holder{files: files, every: every, logger: logger}
	h.pair.Store(pair)
	return h
}

// Pair is the one in use.
func (h *Holder) Pair() *Pair { return h.pair.Load() }

// Wrong says why what the files hold now is not used; empty while it is.
func (h *Holder) Wrong() string {
	if text := h.wrong.Load(); text != nil {
		return *text
	}
	return ""
}

// Server is the configuration of a listener: TLS 1.2 and above, and for each handshake the pair of that moment. There
// are no session tickets: a process that took over would not know them, and phones keep one connection for days.
func (h *Holder) Server() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &h.Pair().tls, nil },
	}
}

// Run looks at the files, first at once, until ctx ends.
func (h *Holder) Run(ctx context.Context) error {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	for {
		h.look(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look takes a new pair over. What is broken is told of once, and only when it is still so at the next look: between
// the writing of a certificate and that of its key nothing is wrong.
func (h *Holder) look(now time.Time) {
	pair, err := h.files.Read()
	current := h.Pair()
	if err == nil && !pair.Same(current) && expired(pair, now) && !expired(current, now) {
		err = fault.New(opRead, fault.Invalid, h.files.Certificate, "the new certificate has expired already; put one there that is valid")
	}
	if err != nil {
		h.complain(err)
		return
	}
	if h.wrong.Swap(nil) != nil && pair.Same(current) {
		h.logger.Info("TLS certificate files are good again", "certificate", h.files.Certificate)
	}
	h.last = ""
	if pair.Same(current) {
		return
	}
	h.pair.Store(pair)
	h.logger.Info("TLS certificate replaced", "certificate", h.files.Certificate,
		"serial", pair.Certificate().SerialNumber.Text(16), "until", stamp(pair.Certificate().NotAfter))
}

func (h *Holder) complain(err error) {
	text := err.Error()
	if h.last != text {
		h.last = text
		return
	}
	if h.Wrong() == text {
		return
	}
	h.wrong.Store(&text)
	h.logger.Error("TLS certificate files not usable: the last good pair stays in use; mend them, they are read again by themselves",
		"certificate", h.files.Certificate, "key", h.files.Key, "err", err, "until", stamp(h.Pair().Certificate().NotAfter))
}

func expired(p *Pair, now time.Time) bool { return !now.Before(p.Certificate().NotAfter) }
