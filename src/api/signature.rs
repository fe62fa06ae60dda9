//! What the parameters of an endpoint say of its route: who may ask, what is read of the request, which errors that can end
//! in. What a parameter says stands beside it.

use axum::{
    Extension,
    extract::{Request, State},
    http::HeaderMap,
};
use utoipa::openapi::{
    ObjectBuilder, RefOr, Required, Schema, Type,
    path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
};

use crate::{
    access::gate::{Allowed, Demand, Perhaps},
    error::Code,
};

/// One parameter of an endpoint.
pub trait Part {
    fn note(says: &mut Says);
}

/// What all of them say together.
#[derive(Default)]
pub struct Says {
    pub asker: Asker,
    /// Each of which is needed.
    pub permissions: Vec<&'static str>,
    /// Whether a browser's cookie opens it too.
    pub cookie: bool,
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
    pub codes: Vec<Code>,
    /// Whether it is carried out once under a key.
    pub keyed: bool,
    /// Whether it may begin an operation.
    pub operation: bool,
    /// Whether what it shows has a tag.
    pub tagged: bool,
    /// Whether it may answer that the asker has it already.
    pub unchanged: bool,
}

/// Who may ask.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    #[default]
    Anybody,
    /// Anybody; a token shows more.
    AnybodyPerhapsKnown,
    /// Somebody with a token.
    Somebody,
}

/// Whether a body must come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    Required,
    Optional,
}

impl Says {
    fn and<P: Part>(mut self) -> Self {
        P::note(&mut self);
        self
    }

    /// It may end in these.
    pub fn codes(&mut self, codes: &[Code]) {
        for code in codes {
            if !self.codes.contains(code) {
                self.codes.push(*code);
            }
        }
    }

    pub fn in_path(&mut self, name: &str, schema: impl Into<RefOr<Schema>>, description: &str) {
        self.parameter(name, ParameterIn::Path, schema, description);
    }

    pub fn in_query(&mut self, name: &str, schema: impl Into<RefOr<Schema>>, description: &str) {
        self.parameter(name, ParameterIn::Query, schema, description);
    }

    pub fn in_header(&mut self, name: &str, schema: impl Into<RefOr<Schema>>, description: &str) {
        self.parameter(name, ParameterIn::Header, schema, description);
    }

    /// Parameters whose names nobody knows beforehand.
    pub fn fields(&mut self, description: &str) {
        let any = ObjectBuilder::new().additional_properties(Some(text()));
        self.in_query("fields", any, description);
        if let Some(last) = self.parameters.last_mut() {
            (last.style, last.explode) = (Some(ParameterStyle::Form), Some(true));
        }
    }

    fn parameter(&mut self, name: &str, place: ParameterIn, schema: impl Into<RefOr<Schema>>, description: &str) {
        // One in the path is required of itself.
        let parameter = ParameterBuilder::new().name(name).schema(Some(schema)).description(Some(description));
        self.parameters.push(parameter.parameter_in(place).required(Required::False).build());
    }
}

pub fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    text().enum_values(Some(words))
}

pub fn boolean(usual: bool) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean).default(Some(usual.into()))
}

/// `usual` where nothing is said.
pub fn whole(least: usize, most: Option<usize>, usual: Option<usize>) -> ObjectBuilder {
    let whole = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least));
    whole.maximum(most).default(usual.map(Into::into))
}

/// An endpoint, as far as its parameters tell.
pub trait Signature<Parts> {
    fn says() -> Says;
}

macro_rules! signatures {
    ($($part:ident)*) => {
        impl<F, Answer, $($part,)*> Signature<($($part,)*)> for F
        where
            F: Fn($($part),*) -> Answer,
            $($part: Part,)*
        {
            fn says() -> Says {
                let says = Says::default();
                $(let says = says.and::<$part>();)*
                says
            }
        }
    };
}

signatures!();
signatures!(A);
signatures!(A B);
signatures!(A B C);
signatures!(A B C D);
signatures!(A B C D E);
signatures!(A B C D E G);

macro_rules! silent {
    ($([$($generic:ident)?] $what:ty;)*) => {
        $(impl$(<$generic>)? Part for $what {
            fn note(_: &mut Says) {}
        })*
    };
}

silent! {
    [T] State<T>;
    [T] Extension<T>;
    [] Request;
    [] HeaderMap;
}

/// Whoever the token is of is looked up at the store, and its key at the provider.
const OF_A_TOKEN: [Code; 6] = [
    Code::TokenRequired,
    Code::TokenInvalid,
    Code::TokenExpired,
    Code::TokenRevoked,
    Code::UpstreamFailed,
    Code::UpstreamRefused,
];

impl<D: Demand> Part for Allowed<D> {
    fn note(says: &mut Says) {
        says.asker = Asker::Somebody;
        says.codes(&OF_A_TOKEN);
        if let Some(permission) = D::PERMISSION {
            says.permissions.push(permission);
            says.codes(&[Code::PermissionRequired]);
        }
        if !D::CHANGES_PASSWORD {
            says.codes(&[Code::PasswordChangeRequired]);
        }
        if D::COOKIE {
            says.cookie = true;
            says.codes(&[Code::CrossSite]);
        }
    }
}

impl Part for Perhaps {
    fn note(says: &mut Says) {
        says.asker = Asker::AnybodyPerhapsKnown;
    }
}
