package dash

import (
	"fmt"
	"math"
	"strconv"
)

// A chart is a picture of bars, drawn here as SVG, with the same figures in a
// table behind it for whoever does not see it.
type chart struct {
	ID     string
	Title  string // what it shows, in a sentence
	Unit   string // of the values: "requests"
	Labels []string
	Series []series
	// Ticks are the labels below the axis: those at these indexes.
	Ticks []int
}

// A series is one row of bars. Two of a chart are stacked.
type series struct {
	Name   string
	Class  string // colour and pattern in app.css
	Values []int64
}

// Measures of a chart, in its own units; it scales with the page.
const (
	chartWidth  = 460
	chartHeight = 150
	chartTop    = 12
	chartBottom = 24
	chartLeft   = 44
)

// A bar is one rectangle.
type bar struct {
	Class, Label string
	X, Y, W, H   string
}

// A axisMark is one text at an axis.
type axisMark struct{ X, Y, Text string }

// Empty tells that there is nothing to draw.
func (c chart) Empty() bool { return c.peak() == 0 }

// Width and Height are those of the picture.
func (chart) Width() int { return chartWidth }

// Height is that of the picture.
func (chart) Height() int { return chartHeight }

// peak is the tallest stack.
func (c chart) peak() int64 {
	var most int64
	for i := range c.Labels {
		var sum int64
		for _, s := range c.Series {
			sum += s.Values[i]
		}
		most = max(most, sum)
	}
	return most
}

// top is the value at the upper end of the axis: a round number not below peak.
func (c chart) top() int64 {
	peak := c.peak()
	for scale := int64(1); ; scale *= 10 {
		for _, step := range [...]int64{1, 2, 5} {
			if step*scale >= peak {
				return step * scale
			}
		}
	}
}

// Bars are the rectangles, left to right.
func (c chart) Bars() []bar {
	var out []bar
	n := len(c.Labels)
	if n == 0 || c.Empty() {
		return nil
	}
	slot := float64(chartWidth-chartLeft) / float64(n)
	width := math.Max(1, slot*0.8)
	scale := float64(chartHeight-chartTop-chartBottom) / float64(c.top())
	for i, label := range c.Labels {
		floor := float64(chartHeight - chartBottom)
		for _, s := range c.Series {
			if s.Values[i] == 0 {
				continue
			}
			h := math.Max(1, float64(s.Values[i])*scale)
			floor -= h
			out = append(out, bar{
				Class: s.Class, Label: fmt.Sprintf("%s: %d %s", label, s.Values[i], s.Name),
				X: px(chartLeft + slot*float64(i) + (slot-width)/2), Y: px(floor), W: px(width), H: px(h),
			})
		}
	}
	return out
}

// Below are the labels below the axis.
func (c chart) Below() []axisMark {
	slot := float64(chartWidth-chartLeft) / float64(max(1, len(c.Labels)))
	var out []axisMark
	for _, i := range c.Ticks {
		out = append(out, axisMark{px(chartLeft + slot*(float64(i)+0.5)), strconv.Itoa(chartHeight - 6), c.Labels[i]})
	}
	return out
}

// Beside are the values at the upper and the lower end of the axis.
func (c chart) Beside() []axisMark {
	return []axisMark{
		{strconv.Itoa(chartLeft - 8), strconv.Itoa(chartTop + 4), compact(c.top())},
		{strconv.Itoa(chartLeft - 8), strconv.Itoa(chartHeight - chartBottom), "0"},
	}
}

// compact writes a large round number in few letters.
func compact(n int64) string {
	for _, unit := range [...]struct {
		of   int64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= 10_000 && n >= unit.of {
			return strconv.FormatFloat(float64(n)/float64(unit.of), 'f', -1, 64) + " " + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// A chartRow is a row of the table behind the picture.
type chartRow struct {
	Label  string
	Values []int64
}

// Rows are the figures, without the steps in which there was nothing.
func (c chart) Rows() []chartRow {
	var out []chartRow
	for i, label := range c.Labels {
		row := chartRow{Label: label}
		some := false
		for _, s := range c.Series {
			row.Values = append(row.Values, s.Values[i])
			some = some || s.Values[i] != 0
		}
		if some {
			out = append(out, row)
		}
	}
	return out
}

func px(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
