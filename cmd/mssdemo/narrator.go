package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// narrator tells the story: numbered steps, what was checked, what was seen. Its words are an interface: a test reads
// them.
type narrator struct {
	out   io.Writer
	began time.Time
	step  int
}

// heading begins a step.
func (n *narrator) heading(text string) {
	n.step++
	fmt.Fprintf(n.out, "\n%d. %s  [%4.1f s]\n", n.step, text, time.Since(n.began).Seconds())
}

// seen tells of something that was checked and is right.
func (n *narrator) seen(format string, args ...any) {
	fmt.Fprintf(n.out, "   ✓ %s\n", fmt.Sprintf(format, args...))
}

// say tells of something that explains itself.
func (n *narrator) say(format string, args ...any) {
	fmt.Fprintf(n.out, "   %s\n", fmt.Sprintf(format, args...))
}

// block shows a text of several lines.
func (n *narrator) block(text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		fmt.Fprintf(n.out, "     | %s\n", line)
	}
}

// failure is a step that did not show what it should.
type failure struct {
	step string
	err  error
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %v", f.step, f.err) }

func (f *failure) Unwrap() error { return f.err }
