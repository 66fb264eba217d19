//! The series of stacks.

use std::collections::BTreeMap;

use crate::families::Family;
use crate::options::Options;
use crate::page::{Page, count};
use crate::service::Facts;

pub(crate) fn write<'a>(
    page: &mut Page,
    services: impl Iterator<Item = &'a Facts>,
    options: &Options,
) {
    let mut stacks = BTreeMap::<_, (usize, usize)>::new();
    for service in services {
        if let Some(stack) = &service.stack {
            let (services, at_desired) = stacks.entry(stack).or_default();
            *services += 1;
            *at_desired += usize::from(service.at_desired);
        }
    }
    for (stack, (services, at_desired)) in stacks {
        let mut labels = options.labels();
        labels.push("stack", stack);
        page.series(Family::StackServices, &labels, count(services));
        page.series(Family::StackAtDesired, &labels, count(at_desired));
    }
}
