package e2e

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// example is one line of the examples in a command's help.
type example struct{ verb, line string }

// examplesOf reads those of all verbs, in an order in which a user could try them: what is made is shown, changed and
// used before it is deleted.
func examplesOf(t *testing.T) (all []example) {
	t.Helper()
	for _, verb := range verbs(t) {
		_, list, _ := strings.Cut(help(t, strings.Fields(verb)...), "Examples:\n")
		list, _, _ = strings.Cut(list, "\n\n")
		found := 0
		for line := range strings.Lines(list) {
			if line = strings.TrimSpace(line); line != "" {
				all = append(all, example{verb, line})
				found++
			}
		}
		if found == 0 {
			t.Errorf("the help of mssctl %s has no example", verb)
		}
	}
	order := []string{"add", "set", "list", "token", "use", "explain", "watch", "trace", "hangup", "delete"}
	slices.SortStableFunc(all, func(a, b example) int {
		rank := func(e example) int { return slices.Index(order, e.verb[strings.LastIndexByte(e.verb, ' ')+1:]) }
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.verb, a.verb)) // a site before the route to it
	})
	return all
}

// where the verbs of a noun are served; the others are served by both kinds of nodes.
var servedBy = map[string]string{
	"user": "office", "registration": "office", "call": "office", "cdr": "office", "hub": "hub", "site": "hub", "route": "hub",
}

// TestHelpExamples types every example of mssctl's help into a shell, at nodes that it fits.
func TestHelpExamples(t *testing.T) {
	t.Parallel()
	hub := startHub(t)
	must(t, hub.WaitTakesCalls(limit(t)))
	office := startOffice(t, node.Options{Users: []node.User{{Name: "4101", Password: "kettle-bridge-4101-lamp"}, {Name: "4102", Password: "kettle-bridge-4102-lamp"}}})
	a := register(t, office, phone.Options{Name: "4101", Password: "kettle-bridge-4101-lamp", Tone: 440})
	b := register(t, office, phone.Options{Name: "4102", Password: "kettle-bridge-4102-lamp", Tone: 620})
	out, err := a.Dial(limit(t), "4102")
	must(t, err)
	in := arrives(t, out, b)
	must(t, in.Answer())
	must(t, out.WaitAnswered(limit(t)))

	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "secret"), []byte("kettle-bridge-4002-lamp\n"), 0o600))
	call := liveCall(t, office)
	for _, e := range examplesOf(t) {
		noun, _, _ := strings.Cut(e.verb, " ")
		for name, dir := range map[string]string{"hub": hub.Dir(), "office": office.Dir()} {
			if only := servedBy[noun]; only != "" && only != name {
				continue
			}
			shell := exec.CommandContext(limit(t), "sh", "-c", strings.ReplaceAll(e.line, "CALL", call))
			shell.Dir = folder
			shell.Env = append(os.Environ(), "HOME="+filepath.Join(folder, name), "XDG_CONFIG_HOME=", "PATH="+bin+":"+os.Getenv("PATH"),
				"MSS_SOCKET="+filepath.Join(dir, "admin.sock"), "MSS_OPERATOR=", "MSS_CONTEXT=")
			if err := try(shell, strings.HasSuffix(e.verb, "watch")); err != nil {
				t.Errorf("at the %s: %s: %v", name, e.line, err)
			}
		}
	}
	must(t, out.WaitEnded(limit(t)))
	must(t, in.WaitEnded(limit(t)))
}

// try runs a command; one that lasts is interrupted when it has said its first line, and must take that well.
func try(shell *exec.Cmd, lasts bool) error {
	if !lasts {
		if text, err := shell.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		return nil
	}
	shell.Args[2] = "exec " + shell.Args[2] // the signal is for mssctl
	pipe, err := shell.StdoutPipe()
	if err != nil {
		return err
	}
	if err := shell.Start(); err != nil {
		return err
	}
	if !bufio.NewScanner(pipe).Scan() {
		return fmt.Errorf("it said nothing: %w", shell.Wait())
	}
	if err := shell.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	return shell.Wait()
}
