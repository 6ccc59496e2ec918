package main

import (
	"bytes"
	"image/png"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryItemOfTheDemoHasItsPicture(t *testing.T) {
	t.Parallel()
	for _, d := range demoShops {
		for _, i := range d.items {
			text, err := i.picture.png()
			require.NoError(t, err)
			img, err := png.Decode(bytes.NewReader(text))
			require.NoError(t, err)
			inks := map[any]bool{}
			for x := range side {
				inks[img.At(x, side/2)] = true
			}
			require.Greater(t, len(inks), 2, i.SKU)
		}
	}
}
