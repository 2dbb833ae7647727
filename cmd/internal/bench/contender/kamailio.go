package contender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// ErrNoKamailio says that Kamailio is not installed.
var ErrNoKamailio = errors.New("kamailio is not installed: run make setup-packages, or apt-get install kamailio")

// kamailio is a running Kamailio.
type kamailio struct {
	*program
	addr netip.AddrPort
}

// lookKamailio finds the program, which Debian puts where not every PATH looks.
func lookKamailio() (string, error) {
	for _, name := range []string{"kamailio", "/usr/sbin/kamailio", "/usr/local/sbin/kamailio"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoKamailio
}

// KamailioVersion is the first line that Kamailio says of itself.
func KamailioVersion(ctx context.Context) (string, error) {
	path, err := lookKamailio()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, "-v").Output()
	if err != nil {
		return "", fmt.Errorf("ask kamailio for its version: %w", err)
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return string(line), nil
}

func startKamailio(ctx context.Context, setup Setup) (Server, error) {
	path, err := lookKamailio()
	if err != nil {
		return nil, err
	}
	k := &kamailio{}
	if k.addr, err = FreePort(node.NewAddress()); err != nil {
		return nil, err
	}
	config := filepath.Join(setup.Dir, "kamailio.cfg")
	if err := k.configure(config, setup); err != nil {
		return nil, err
	}
	// Without -x fm -X fm it is four times slower and no fair anchor.
	k.program, err = startProgram("kamailio", path, filepath.Join(setup.Dir, "kamailio.log"),
		"-DD", "-E", "-f", config, "-m", "1024", "-M", "16", "-x", "fm", "-X", "fm", "-Y", setup.Dir, "-w", setup.Dir)
	if err != nil {
		return nil, err
	}
	if err := k.ready(ctx, k.addr); err != nil {
		return nil, errors.Join(err, k.Stop())
	}
	return k, nil
}

func (k *kamailio) configure(file string, setup Setup) error {
	text, err := template.ParseFiles(filepath.Join(setup.Files, "kamailio.cfg"))
	if err != nil {
		return fmt.Errorf("configure kamailio: %w", err)
	}
	modules, err := filepath.Glob("/usr/lib*/*/kamailio/modules/tm.so")
	if err == nil && len(modules) == 0 {
		modules, err = filepath.Glob("/usr/*/lib*/kamailio/modules/tm.so")
	}
	if err != nil || len(modules) == 0 {
		return errors.Join(errors.New("configure kamailio: its module tm.so is not under /usr: install the whole package kamailio"), err)
	}
	var b bytes.Buffer
	err = text.Execute(&b, map[string]string{
		"Listen": k.addr.String(), "Next": setup.Callee.String(), "Modules": filepath.Dir(modules[0]) + "/",
	})
	if err == nil {
		err = os.WriteFile(file, b.Bytes(), 0o600)
	}
	if err != nil {
		return fmt.Errorf("configure kamailio: %w", err)
	}
	return nil
}

// Addr is where it takes calls.
func (k *kamailio) Addr() netip.AddrPort { return k.addr }

// Apart is none.
func (k *kamailio) Apart() int { return 0 }
