package baresip

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/mss-federation/mss/cmd/internal/rig/tone"
)

// Account is an extension to register.
type Account struct {
	User, Password string
	Registrar      netip.AddrPort
	Transport      string // udp, tcp or tls; baresip 1.0 verifies no certificate
	Codec          string // PCMU or PCMA; empty: both
	AutoAnswer     bool
	NoRegister     bool // calls are made and taken without a registration
}

// Register adds the account and waits for its registration.
func (a *Agent) Register(ctx context.Context, account Account) error {
	text := fmt.Sprintf("<sip:%s@%s;transport=%s>;auth_user=%s;auth_pass=%s",
		account.User, account.Registrar, account.Transport, account.User, account.Password)
	if account.NoRegister {
		text += ";regint=0"
	} else {
		text += ";regint=3600"
	}
	if account.Codec != "" {
		text += ";audio_codecs=" + account.Codec + "/8000/1"
	}
	if account.AutoAnswer {
		text += ";answermode=auto"
	}
	skip := len(a.Events())
	if _, err := a.Command(ctx, "uanew", text); err != nil {
		return err
	}
	if account.NoRegister {
		return nil
	}
	e, _, err := a.Wait(ctx, skip, "REGISTER_OK", "REGISTER_FAIL")
	if err != nil {
		return err
	}
	if e.Type == "REGISTER_FAIL" {
		return fmt.Errorf("baresip %s is not registered: %s", account.User, e.Param)
	}
	return nil
}

// Dial calls a URI.
func (a *Agent) Dial(ctx context.Context, uri string) error { return a.just(ctx, "dial", uri) }

// Accept answers the call that rings.
func (a *Agent) Accept(ctx context.Context) error { return a.just(ctx, "accept", "") }

// Hangup ends the call.
func (a *Agent) Hangup(ctx context.Context) error { return a.just(ctx, "hangup", "") }

// Hold holds the call.
func (a *Agent) Hold(ctx context.Context) error { return a.just(ctx, "hold", "") }

// Resume ends Hold.
func (a *Agent) Resume(ctx context.Context) error { return a.just(ctx, "resume", "") }

// Digit sends one telephone event (RFC 4733).
func (a *Agent) Digit(ctx context.Context, digit rune) error {
	return a.just(ctx, "sndcode", string(digit))
}

func (a *Agent) just(ctx context.Context, command, params string) error {
	_, err := a.Command(ctx, command, params)
	return err
}

// Heard is what the far sides of all calls so far sent, joined in order. It is whole once the calls were closed. The
// recording of a call ends with its first re-INVITE, where baresip 1.0 drops the filter that records.
func (a *Agent) Heard() (tone.WAV, error) {
	files, err := filepath.Glob(filepath.Join(a.dir, "dump-*-dec.wav"))
	if err != nil || len(files) == 0 {
		return tone.WAV{}, fmt.Errorf("baresip recorded nothing (%w)", err)
	}
	slices.Sort(files) // the name has the time of the start
	var all tone.WAV
	for _, f := range files {
		w, err := tone.ReadWAV(f)
		if err != nil {
			return tone.WAV{}, err
		}
		all.Rate, all.Samples = w.Rate, append(all.Samples, w.Samples...)
	}
	return all, nil
}
