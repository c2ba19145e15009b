//! Writes a double as Redis 7.2 does: whole numbers up to 2^62 in full, others with the shortest digits that read back the same
//! and an exponent only far from one.
//!
//! Promises: `1`, `0.1`, `100000000000000000`, `1e+20`, `inf`, `-inf`, `nan`. Never locale, never trailing zeros.

use std::io::Write;

/// Whole numbers up to this size are written without an exponent.
const WHOLE_MAX: f64 = (1u64 << 62) as f64;

/// Appends `value` to `output`.
pub fn write_double(output: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return output.extend_from_slice(b"nan");
    }
    if value.is_infinite() {
        return output.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    if value == 0.0 {
        return output.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    }
    if value.abs() <= WHOLE_MAX && value as i64 as f64 == value {
        return crate::write_integer(output, value as i64);
    }
    // "d.ddde-7": digits and the exponent of the first of them.
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("LowerExp writes an exponent");
    let exponent: i32 = exponent.parse().expect("LowerExp writes a number");
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let count = digits.len() as i32;
    // value = digits x 10^scale
    let scale = exponent - count + 1;
    if value < 0.0 {
        output.push(b'-');
    }
    if scale >= 0 && exponent < count + 7 {
        output.extend_from_slice(&digits);
        output.extend(std::iter::repeat_n(b'0', scale as usize));
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        if exponent < 0 {
            output.extend_from_slice(b"0.");
            output.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
            output.extend_from_slice(&digits);
        } else {
            let whole = (exponent + 1) as usize;
            output.extend_from_slice(&digits[..whole]);
            output.push(b'.');
            output.extend_from_slice(&digits[whole..]);
        }
    } else {
        output.push(digits[0]);
        if count > 1 {
            output.push(b'.');
            output.extend_from_slice(&digits[1..]);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(output, "e{sign}{}", exponent.abs()).expect("memory takes all");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_look_as_in_redis() {
        for (value, text) in [
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (3.0e5, "300000"),
            (1e17, "100000000000000000"),
            (-4e18, "-4000000000000000000"),
            (4611686018427387904.0, "4611686018427387904"),
            (4611686018427388928.0, "4611686018427389000"),
            (5e18, "5e+18"),
            (1e20, "1e+20"),
            (-0.0, "-0"),
            (1.5e-9, "1.5e-9"),
            (0.0001, "0.0001"),
            (17.25, "17.25"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (123456.789, "123456.789"),
        ] {
            let mut output = Vec::new();
            write_double(&mut output, value);
            assert_eq!(String::from_utf8(output).unwrap(), text);
        }
    }
}
