//! What is on a screen, pixel by pixel, and how well colours stand out from each other.

use std::collections::BTreeSet;

pub struct Screen {
    pub width: u32,
    pixels: Vec<[u8; 3]>,
}

impl Screen {
    /// Of a PNG.
    pub fn read(picture: &[u8]) -> Self {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(picture));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bytes).unwrap();
        let samples = frame.color_type.samples();
        assert!(samples >= 3, "{:?}", frame.color_type);
        let pixels = bytes[..frame.buffer_size()].chunks(samples).map(|pixel| [pixel[0], pixel[1], pixel[2]]);
        Self { width: frame.width, pixels: pixels.collect() }
    }

    /// Different ones.
    pub fn colours(&self) -> usize {
        self.pixels.iter().collect::<BTreeSet<_>>().len()
    }

    /// The one at the upper left.
    pub fn corner(&self) -> [u8; 3] {
        self.pixels[0]
    }
}

/// From 1 to 21 (WCAG 2.2, contrast ratio).
pub fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    one.max(other) / one.min(other)
}

/// From 0 to 1 (WCAG 2.2, relative luminance).
pub fn luminance(colour: [u8; 3]) -> f64 {
    let [red, green, blue] = colour.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}
