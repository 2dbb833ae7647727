package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// checkout is the folder that README.md is in.
const checkout = "../.."

// command is one line of README.md's blocks, without its comment.
type command struct{ section, line, comment string }

// commandsOf reads the indented blocks of a README.
func commandsOf(t *testing.T) (all []command) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, "README.md"))
	must(t, err)
	section := ""
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(name)
		}
		if line, ok := strings.CutPrefix(line, "    "); ok {
			line, comment, _ := strings.Cut(line, "#")
			all = append(all, command{section, strings.TrimSpace(line), strings.TrimSpace(comment)})
		}
	}
	return all
}

// newcomer types what README.md says, in its order, at the machines that it says.
type newcomer struct {
	office, first, second *machine
	at                    *machine
	home                  string
	token                 string // what STRING stands for
	call                  string // what CALL stands for
	passwords             map[string]string
}

// TestREADME does what README.md says and wants it to be true.
func TestREADME(t *testing.T) {
	t.Parallel()
	n := &newcomer{
		office: newMachine(t, "lmss"), first: newMachine(t, "tmss"), second: newMachine(t, "tmss"), home: t.TempDir(), passwords: map[string]string{},
	}
	n.office.sample(t, "deploy/config/lmss.yaml", "numbers: []", "numbers: [4xxx]", "uplinks: []", "uplinks: [a, b]")
	sections := map[string]int{}
	for _, c := range commandsOf(t) {
		if sections[c.section]++; sections[c.section] == 1 {
			n.at = map[string]*machine{"Run an office": n.office, "Run a hub": n.first, "Connect offices": n.first, "Watch it": n.office}[c.section]
		}
		n.do(t, c)
	}
	for section, commands := range map[string]int{"Two commands": 2, "Run an office": 8, "Run a hub": 6, "Connect offices": 5, "Watch it": 7} {
		if sections[section] < commands {
			t.Errorf("README.md has %d commands in %q, %d were there", sections[section], section, commands)
		}
	}
}

// do types one command.
func (n *newcomer) do(t *testing.T, c command) {
	t.Helper()
	words := strings.Fields(c.line)
	program := strings.TrimPrefix(words[0], ".build/bin/")
	switch program {
	case "make":
		must(t, n.makes(words[1]))
	case "curl":
		n.curl(t, words)
	case "mssctl":
		n.mssctl(t, c, words[1:])
	case "lmss", "tmss":
		n.daemon(t, c, program, words[1:])
	default:
		t.Errorf("%s: who knows %s?", c.line, program)
	}
}

// makes wants a target to be there; the programs are built already.
func (*newcomer) makes(target string) error {
	out, err := exec.CommandContext(context.Background(), "make", "-n", "-C", checkout, target).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make %s: %w: %s", target, err, out)
	}
	return nil
}

// curl asks a node's socket.
func (n *newcomer) curl(t *testing.T, words []string) {
	t.Helper()
	if len(words) != 4 || words[1] != "--unix-socket" {
		t.Fatalf("%v: only a Unix socket is asked here", words)
	}
	socket := strings.Replace(words[2], "/var/lib/lmss", filepath.Join(n.office.folder, "state"), 1)
	path := words[3][strings.LastIndexByte(words[3], '/'):]
	for _, path := range []string{path, "/healthz", "/metrics"} {
		if code, text, err := (monitoring{"unix", socket}).get(limit(t), path); err != nil || code != 200 {
			t.Errorf("%s: %d %s %v", path, code, text, err)
		}
	}
}

// daemon runs lmss or tmss. What stays is left running; the machine is the one that the comment names, or the last.
func (n *newcomer) daemon(t *testing.T, c command, program string, args []string) {
	t.Helper()
	if strings.Contains(c.comment, "second machine") {
		n.at = n.second
	}
	if program == "lmss" {
		n.at = n.office
	}
	m := n.at
	for i := range args {
		args[i] = strings.NewReplacer("STRING", n.token, "192.0.2.1", n.first.address.String(), "192.0.2.2", n.second.address.String(),
			"deploy/config/lmss.yaml", n.office.config()).Replace(args[i])
	}
	if program == "tmss" {
		args = append(args, "--config", m.config())
		if args[0] != "run" {
			args = append(args, "--state-dir", filepath.Join(m.folder, "state"))
		}
	}
	if args[0] == "run" && !strings.Contains(c.line, "--check") {
		m.start(t, args...)
		return
	}
	out, err := exec.CommandContext(limit(t), filepath.Join(bin, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", c.line, err, out)
	}
	if strings.Contains(c.comment, "restart lmss") {
		m.stop(t)
		m.start(t, "run", "--config", m.config())
		n.settle(t)
	}
}

// settle waits for what takes the nodes a moment: session, trunk and routes.
func (n *newcomer) settle(t *testing.T) {
	t.Helper()
	for ctx := limit(t); ; {
		peers, _ := n.ask(t, n.office, "peer", "list")
		routes, _ := n.ask(t, n.first, "route", "list")
		if strings.Count(peers, "alive") == 2 && strings.Contains(routes, "learned") {
			return
		}
		pauseOr(ctx, t, peers+routes)
	}
}

// mssctl runs it where the comment says, or where the newcomer is.
func (n *newcomer) mssctl(t *testing.T, c command, args []string) {
	t.Helper()
	if strings.Contains(c.line, "registration list") {
		n.phones(t)
	}
	for i := range args {
		args[i] = strings.NewReplacer("CALL", n.call, "192.0.2.1", n.first.address.String(),
			"operator-admin.pem", filepath.Join(n.first.folder, "state", "identity", "operator-admin.pem")).Replace(args[i])
	}
	places := []*machine{n.at}
	switch {
	case strings.Contains(c.comment, "on either side"):
		places = []*machine{n.office, n.first}
	case strings.Contains(c.comment, "on a hub"), strings.Contains(c.comment, "on the hub"):
		n.at, places = n.first, []*machine{n.first}
	case args[0] == "context" || c.section == "Watch it" && args[0] == "site":
		places = []*machine{nil} // a machine without a node
	}
	for _, m := range places {
		out, err := n.ask(t, m, args...)
		looks := strings.Contains(c.line, " list") || strings.Contains(c.line, " explain")
		for patience, missing := within(t, humanPause), n.read(c, out); looks && missing != "" && patience.Err() == nil; missing = n.read(c, out) {
			out, err = n.ask(t, m, args...) // nobody types so fast that the nodes have not told each other yet
		}
		if missing := n.read(c, out); err != nil || missing != "" {
			t.Errorf("%s: %v; it has no %q:\n%s", c.line, err, missing, out)
		}
	}
}

// humanPause is what a newcomer needs at least to read one answer and type the next question.
const humanPause = 2 * time.Second

// ask runs mssctl at a machine; nil is one without a node.
func (n *newcomer) ask(t *testing.T, m *machine, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(limit(t), filepath.Join(bin, "mssctl"), args...)
	cmd.Env = append(os.Environ(), "HOME="+n.home, "XDG_CONFIG_HOME=", "MSS_SOCKET=", "MSS_OPERATOR=", "MSS_CONTEXT=")
	if m != nil {
		cmd.Env = append(cmd.Env, "MSS_SOCKET="+m.socket())
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, errOut.String())
	}
	return out.String(), nil
}

// read takes from what mssctl printed what a newcomer would, and says what of README.md's promises is missing.
func (n *newcomer) read(c command, out string) (missing string) {
	for line, pattern := range map[string]string{
		"user add":          `password (\S{20,})`,
		"token":             `^(mss1-\S+)\n$`,
		"registration list": `(?m)^4001 .*\n4002 `,
		"call list":         `(?m)^(\S{26}) +up +4001 +4002 `,
		"call trace":        `INVITE 4002`,
		"cdr list":          `completed`,
		"hub list":          `(?m)^a .*\nb `,
		"peer list":         `(site/london|hub/a) +up .* alive `,
		"route explain":     `(?m)^4001: chosen\n(.*\n)*4xxx +1 +site/london `,
		"audit list":        `user add 4002|add user 4002`,
		"status":            `(?m)^site +london`,
		"log-level":         `changed in signal and media`,
		"site list":         `"name": "london"`,
	} {
		if !strings.Contains(c.line, line) {
			continue
		}
		m := regexp.MustCompile(pattern).FindStringSubmatch(out)
		if m == nil {
			return pattern
		}
		switch line {
		case "user add":
			n.passwords[c.line[len(c.line)-4:]] = m[1]
		case "token":
			n.token = m[1]
		}
	}
	return ""
}

// phones registers both users with the passwords that were printed; they have had one call and are in another.
func (n *newcomer) phones(t *testing.T) {
	t.Helper()
	sip := netip.AddrPortFrom(n.office.address, 5060)
	var both []*phone.Phone
	for _, user := range []string{"4001", "4002"} {
		p, err := phone.New(phone.Options{Name: user, Password: n.passwords[user], Registrar: sip, Tone: tones[user]})
		must(t, err)
		t.Cleanup(p.Close)
		must(t, p.Register(limit(t)))
		both = append(both, p)
	}
	out, err := both[0].Dial(limit(t), "4002")
	must(t, err)
	must(t, arrives(t, out, both[1]).Answer())
	must(t, out.WaitAnswered(limit(t)))
	must(t, out.Hangup(limit(t))) // for the list of records
	connect(t, both[0], both[1])
	list, err := n.ask(t, n.office, "call", "list")
	must(t, err)
	n.call = strings.Fields(list[strings.IndexByte(list, '\n'):])[0]
}

// TestSamplesStart starts a node from every sample, with addresses and folders of its own.
func TestSamplesStart(t *testing.T) {
	t.Parallel()
	samples, err := filepath.Glob(filepath.Join(checkout, "deploy", "config", "*.yaml"))
	must(t, err)
	if len(samples) < 2 {
		t.Fatalf("only %q", samples)
	}
	for _, path := range samples {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			program := filepath.Base(path)[:4]
			m := newMachine(t, program)
			m.sample(t, filepath.Join("deploy", "config", filepath.Base(path)))
			if program == "tmss" {
				out, err := exec.CommandContext(limit(t), filepath.Join(bin, "tmss"), "init", "--config", m.config()).CombinedOutput()
				if err != nil {
					t.Fatalf("tmss init: %v\n%s", err, out)
				}
			}
			m.start(t, "run", "--config", m.config())
			n := &newcomer{home: t.TempDir()}
			if out, err := n.ask(t, m, "status"); err != nil || !strings.Contains(out, m.address.String()) {
				t.Errorf("status: %v\n%s", err, out)
			}
		})
	}
}
