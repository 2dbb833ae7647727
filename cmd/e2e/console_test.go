package e2e

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

var update = flag.Bool("update", false, "write testdata again")

// console is an operator's shell at one node.
type console struct {
	env   []string
	words map[string]string // $NAME in a command line, and what it stands for
	seen  map[string]bool   // verbs that were run, with the form
	text  strings.Builder
}

func newConsole(t *testing.T, socket string) *console {
	t.Helper()
	env := append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "TZ=UTC", "MSS_SOCKET="+socket, "MSS_OPERATOR=", "MSS_CONTEXT=")
	return &console{env: env, words: map[string]string{}, seen: map[string]bool{}}
}

// forms are how every verb can print.
var forms = []string{"table", "json", "yaml"}

// each runs a command line in every form. $N is a number and $F a name of the form, for what can be done only once.
func (c *console) each(t *testing.T, line string) {
	t.Helper()
	for i, form := range forms {
		c.words["N"], c.words["F"] = fmt.Sprint(i+1), form
		c.run(t, line, form)
	}
}

// run runs a command line in one form.
func (c *console) run(t *testing.T, line, form string) {
	t.Helper()
	out, code := c.exec(t, line, form)
	c.note(line, form, out, code)
}

func (c *console) note(line, form, out string, code int) {
	fmt.Fprintf(&c.text, "$ mssctl %s -o %s\n%sexit %d\n\n", line, form, out, code)
	var verb []string
	for word := range strings.FieldsSeq(line) {
		if strings.HasPrefix(word, "-") || strings.HasPrefix(word, "$") {
			break
		}
		verb = append(verb, word)
	}
	for n := range verb {
		c.seen[strings.Join(verb[:n+1], " ")+" "+form] = true
	}
}

func (c *console) exec(t *testing.T, line, form string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(limit(t), filepath.Join(bin, "mssctl"), c.arguments(line, form)...)
	cmd.Env = c.env
	text, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(text), exit.ExitCode()
	}
	must(t, err)
	return string(text), 0
}

func (c *console) arguments(line, form string) []string {
	args := append(strings.Fields(line), "-o", form)
	for i := range args {
		args[i] = os.Expand(args[i], func(name string) string { return c.words[name] })
	}
	return args
}

// until runs a command line that does not end by itself, and interrupts it when it has said something.
func (c *console) until(t *testing.T, line, form, says string) {
	t.Helper()
	cmd := exec.CommandContext(limit(t), filepath.Join(bin, "mssctl"), c.arguments(line, form)...)
	cmd.Env = c.env
	pipe, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var text bytes.Buffer
	for buf := make([]byte, 4096); !strings.Contains(text.String(), says); {
		n, err := pipe.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			t.Errorf("%s ended: %v\n%s", line, err, text.String())
			break
		}
	}
	must(t, cmd.Process.Signal(syscall.SIGINT))
	rest, err := io.ReadAll(pipe)
	must(t, err)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: interrupted: %v", line, err)
	}
	c.note(line, form, text.String()+string(rest), 0)
}

// compare compares what was seen with a file, but for what differs from run to run.
func (c *console) compare(t *testing.T, file string) {
	t.Helper()
	path := filepath.Join("testdata", "mssctl", file)
	got := c.settled()
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	text, err := os.ReadFile(path)
	must(t, err)
	if want := string(text); got != want {
		a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Errorf("%s:%d: got %q, want %q", path, i+1, a[i], b[i])
				break
			}
		}
		t.Errorf("%s differs; run the test with -update and read the difference; got\n%s", path, got)
	}
}

// unsettled is what differs from run to run, in the order in which it is replaced.
var unsettled = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`mss1-[\w.~-]+`), "TOKEN"},
	{regexp.MustCompile(`("?(version|commit|software)"?: )("[^"]*"|\S+ ?\S*)`), "${1}VERSION"},
	{regexp.MustCompile(`(?m)^version +.*$`), "version  VERSION"},
	{regexp.MustCompile(`\b(lmss|tmss) (unknown|devel|v\d\S*|[0-9a-f]{7,}(-dirty)?)`), "$1 VERSION"},
	{regexp.MustCompile(`\S+ \(uid \d+, pid \d+\)`), "WHO"},
	{regexp.MustCompile(`(message: ?"?|"message": ")([A-Z]+ \S+ SIP/2\.0|SIP/2\.0 [^\\]*?)\\r\\n.*`), "$1$2 …"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*Z?`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d(\.\d+)?\b`), "CLOCK"},
	{regexp.MustCompile(`(\b|")(\d+h)?(\d+m)?\d+(\.\d+)?(s|ms|µs)\b`), "${1}AGE"},
	{regexp.MustCompile(`\b127\.\d+\.\d+\.\d+(:\d+)?\b`), "ADDRESS"},
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`\b[0-9a-f]{12,}\b`), "ID"},
	{regexp.MustCompile(`\b[A-Z2-7]{20,}\b`), "RANDOM"},
	{regexp.MustCompile(`\b[0-9a-z]{26}(\.\d+)?\b`), "ID"},
	{regexp.MustCompile(`\b(supervisor|signal|media|hub|directory) \d+\b`), "$1 PID"},
	{regexp.MustCompile(`("?(pid|value|revision|directory_revision|epoch|flow_id|sent|received|lost|q|announced_out|withdrawn_out)"?: ?)"?\d+"?`), "${1}N"},
	{regexp.MustCompile(`\brevision \d+`), "revision N"},
	{regexp.MustCompile(`#\d+`), "#N"},
	{regexp.MustCompile(`(?m)^((sip|trace|requests|acks|responses|cookies|searches|breakers|message|auth|loops|failovers)\w*) +\d+$`), "$1  N"},
	{regexp.MustCompile(`/tmp/[\w./-]+`), "PATH"},
	{regexp.MustCompile(`-{2,}|-->?|<--?`), "--"},
	{regexp.MustCompile(`(\S) {2,}`), "$1  "},
	{regexp.MustCompile(`(?m) +$`), ""},
}

func (c *console) settled() string {
	text := c.text.String()
	for _, u := range unsettled {
		text = u.pattern.ReplaceAllString(text, u.with)
	}
	return text
}
